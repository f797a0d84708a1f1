"""A runtime that speaks runtime.v1alpha2 alone, as those before 2022 did: passes it on to a containerd that speaks both, and knows
nothing of runtime.v1.

usage: older_cri.py SOCKET CONTAINERD-SOCKET
"""

import sys
from concurrent import futures

import grpc


class Older(grpc.GenericRpcHandler):
    def __init__(self, channel):
        self.channel = channel

    def service(self, details):
        if not details.method.startswith("/runtime.v1alpha2."):
            return None  # UNIMPLEMENTED: unknown service
        print(details.method, flush=True)
        call = self.channel.unary_unary(details.method)

        def pass_on(request, context):
            try:
                return call(request)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
        return grpc.unary_unary_rpc_method_handler(pass_on)


def main(socket, containerd):
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Older(grpc.insecure_channel(f"unix://{containerd}"))])
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
