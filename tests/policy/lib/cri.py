"""A client of the Container Runtime Interface, as far as the tests make pods: gRPC by grpcio, messages of cri.proto."""

import os
import sys

import grpc

sys.path.insert(0, os.environ.get("CRI_PB2", "."))
import cri_pb2 as messages  # noqa: E402  (made by the build)


class Cri:
    """version: "v1" or "v1alpha2"."""

    def __init__(self, socket, version="v1"):
        self.service = f"/runtime.{version}.RuntimeService/"
        self.channel = grpc.insecure_channel(f"unix://{socket}")

    def call(self, method, request, answer=messages.Empty, timeout=60):
        """grpc.RpcError if it fails."""
        return self.channel.unary_unary(self.service + method, type(request).SerializeToString, answer.FromString)(
            request, timeout=timeout, wait_for_ready=True)

    def version(self):
        return self.call("Version", messages.VersionRequest(version="v1"), messages.VersionResponse)

    def close(self):
        self.channel.close()


__all__ = ["Cri", "messages", "grpc"]
