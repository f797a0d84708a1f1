#!/usr/bin/python3
"""usage: interop.py RPC_SERVER RPC_CLIENT

Our gRPC against grpcio, both ways, over loopback TCP, plain and with mutual TLS. Prints TAP.
"""

import concurrent.futures
import os
import subprocess
import sys
import tempfile
import threading
import time

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
try:
    import grpc
    from grpc_tools import protoc
except ImportError as e:
    print(f"1..0 # SKIP {e.name} isn't installed (Debian: python3-grpcio, python3-grpc-tools)")
    sys.exit(0)

HERE = os.path.dirname(os.path.abspath(__file__))
MESSAGE_MAX = 4 * 1024 * 1024
cases = 0
failures = 0


def emit(good, name, detail=""):
    global cases, failures
    cases += 1
    print(f"{'' if good else 'not '}ok {cases} - {name}", flush=True)
    if not good:
        failures += 1
        print(f"# {detail}", flush=True)


def make_stubs(directory):
    if protoc.main(["protoc", f"-I{HERE}", f"--python_out={directory}", f"--grpc_python_out={directory}",
                    f"{HERE}/interop.proto"]) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, directory)


def make_certificates(directory):
    """ca.pem, cert.pem, key.pem for both sides; one name, one CA."""
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=directory, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
            "-out", "ca.pem", "-days", "2", "-subj", "/CN=interop CA", "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem",
            "-out", "cert.csr", "-subj", "/CN=localhost")
    with open(os.path.join(directory, "ext"), "w", encoding="ascii") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
                "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n")
    openssl("x509", "-req", "-in", "cert.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "ext", "-out", "cert.pem")


def read(directory, name):
    with open(os.path.join(directory, name), "rb") as f:
        return f.read()


class Service:
    """grpcio's side of interop.proto."""

    def __init__(self, pb2):
        self.pb2 = pb2
        self.given_up = 0
        self.lock = threading.Lock()

    def gave_up(self):
        with self.lock:
            self.given_up += 1

    def Echo(self, request, context):
        return request

    def Fail(self, request, context):
        code = [c for c in grpc.StatusCode if c.value[0] == request.code][0]
        context.abort(code, request.text)

    def Make(self, request, context):
        return self.pb2.Bytes(data=bytes(request.size))

    def Count(self, request, context):
        context.add_callback(lambda: None if context.finished else self.gave_up())
        context.finished = False
        message = self.pb2.Bytes(data=bytes(request.size))
        for _ in range(request.count):
            if not context.is_active():
                return
            yield message
        context.finished = True
        if request.code:
            context.abort([c for c in grpc.StatusCode if c.value[0] == request.code][0], "as asked")

    def Wait(self, request, context):
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait(60)
        self.gave_up()
        return request

    def Missing(self, request, context):
        raise AssertionError("it isn't registered")

    def GivenUp(self, request, context):
        return self.pb2.Number(value=self.given_up)


def without_missing(pb2_grpc, service, server):
    """Registers all methods but one, so that the library itself says UNIMPLEMENTED."""
    class Recorder:
        def add_generic_rpc_handlers(self, handlers):
            self.handlers = handlers
    recorder = Recorder()
    pb2_grpc.add_InteropServicer_to_server(service, recorder)

    class Filter(grpc.GenericRpcHandler):
        def service(self, details):
            return None if details.method.endswith("/Missing") else recorder.handlers[0].service(details)
    server.add_generic_rpc_handlers((Filter(),))


def run_our_client(program, pb2, pb2_grpc, tls, label):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), options=options)
    without_missing(pb2_grpc, Service(pb2), server)
    if tls:
        credentials = grpc.ssl_server_credentials([(read(tls, "key.pem"), read(tls, "cert.pem"))], read(tls, "ca.pem"),
                                                  require_client_auth=True)
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        done = subprocess.run([program, str(port)] + ([tls] if tls else []), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120, text=True)
        planned = any(line.startswith("1..") for line in done.stdout.splitlines())
        for line in done.stdout.splitlines():
            if line.startswith(("ok", "not ok")):
                emit(line.startswith("ok"), f"{label}: {line.split(' - ', 1)[1]}")
            elif line.startswith("#"):
                print(line)
        emit(planned and not done.stderr, f"{label}: the client ran to its end", done.stderr.replace("\n", " "))
    finally:
        server.stop(0).wait()


class Caller:
    """grpcio calls our server."""

    def __init__(self, port, pb2, pb2_grpc, tls, label):
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
                   ("grpc.ssl_target_name_override", "localhost")]
        address = f"127.0.0.1:{port}"
        if tls:
            credentials = grpc.ssl_channel_credentials(read(tls, "ca.pem"), read(tls, "key.pem"), read(tls, "cert.pem"))
            self.channel = grpc.secure_channel(address, credentials, options)
        else:
            self.channel = grpc.insecure_channel(address, options)
        self.stub = pb2_grpc.InteropStub(self.channel)
        self.pb2 = pb2
        self.label = label

    def check(self, good, name, detail=""):
        emit(good, f"{self.label}: {name}", detail)

    def expect_code(self, code, name, function):
        try:
            function()
            self.check(False, name, "succeeded")
        except grpc.RpcError as e:
            self.check(e.code() == code, name, f"{e.code()} {e.details()}")
            return e

    def echo(self, size, name):
        data = os.urandom(size)
        try:
            self.check(self.stub.Echo(self.pb2.Bytes(data=data), timeout=90).data == data, name)
        except grpc.RpcError as e:
            self.check(False, name, f"{e.code()} {e.details()}")

    def statuses(self):
        text = "keine Äpfel: 100% weg"
        for code in list(grpc.StatusCode)[1:]:
            try:
                self.stub.Fail(self.pb2.FailRequest(code=code.value[0], text=text), timeout=60)
            except grpc.RpcError as e:
                self.check(e.code() == code and e.details() == text, f"status {code.name} and its text come through",
                           f"{e.code()} {e.details()}")

    def sizes(self):
        big = self.pb2.Bytes(data=bytes(MESSAGE_MAX + 1))
        self.expect_code(grpc.StatusCode.RESOURCE_EXHAUSTED, "a request over the cap is RESOURCE_EXHAUSTED",
                         lambda: self.stub.Echo(big, timeout=90))
        self.expect_code(grpc.StatusCode.RESOURCE_EXHAUSTED, "a response over the cap is RESOURCE_EXHAUSTED",
                         lambda: self.stub.Make(self.pb2.MakeRequest(size=MESSAGE_MAX + 1), timeout=90))
        self.echo(10, "the connection goes on after both")

    def stream(self, count, size, code, name):
        seen = 0
        got = grpc.StatusCode.OK
        try:
            for message in self.stub.Count(self.pb2.CountRequest(count=count, size=size, code=code), timeout=90):
                seen += len(message.data) == size
        except grpc.RpcError as e:
            got = e.code()
        self.check(seen == count and got.value[0] == code, name, f"{seen} messages, {got}")

    def given_up(self, at_least):
        until = time.monotonic() + 5
        while True:
            late = time.monotonic() > until
            value = self.stub.GivenUp(self.pb2.Bytes(), timeout=60).value
            if value >= at_least or late:
                return value

    def ends_on_the_server(self, give_up, name):
        """give_up(seconds) ends a call after so long: a busy server may not have seen it by then, and is given longer."""
        for seconds in (0.2, 1, 4, 16):
            before = self.given_up(0)
            give_up(seconds)
            after = self.given_up(before + 1)
            if after != before:
                break
        self.check(after == before + 1, name, f"{after - before} calls were given up")

    def endings(self):
        codes = set()

        def deadline(seconds):
            try:
                self.stub.Wait(self.pb2.Bytes(), timeout=seconds)
            except grpc.RpcError as e:
                codes.add(e.code())

        def cancel(seconds):
            future = self.stub.Wait.future(self.pb2.Bytes())
            time.sleep(seconds)
            future.cancel()
        self.ends_on_the_server(deadline, "a deadline ends the call on the server too")
        self.check(codes == {grpc.StatusCode.DEADLINE_EXCEEDED}, "a deadline is DEADLINE_EXCEEDED", f"{codes}")
        before = self.given_up(0)
        stream = self.stub.Count(self.pb2.CountRequest(count=1000000, size=65536))
        for _ in range(3):
            next(stream)
        stream.cancel()
        self.check(self.given_up(before + 1) == before + 1, "a stream cancelled by the client ends on the server")
        self.ends_on_the_server(cancel, "a unary call cancelled by the client ends on the server")

    def many(self):
        futures = [self.stub.Make.future(self.pb2.MakeRequest(size=i * 10), timeout=90) for i in range(2000)]
        good = sum(len(f.result().data) == i * 10 for i, f in enumerate(futures))
        self.check(good == 2000, "2000 calls at once", f"{good}")

    def compressed(self):
        self.expect_code(grpc.StatusCode.UNIMPLEMENTED, "a compressed request is UNIMPLEMENTED",
                         lambda: self.stub.Echo(self.pb2.Bytes(data=bytes(10000)), timeout=60,
                                                compression=grpc.Compression.Gzip))

    def run(self):
        self.echo(0, "an empty message")
        self.echo(100, "a small message")
        self.echo(MESSAGE_MAX - 16, "a message of 4 MiB both ways")
        self.statuses()
        self.expect_code(grpc.StatusCode.UNIMPLEMENTED, "an unknown method is UNIMPLEMENTED",
                         lambda: self.stub.Missing(self.pb2.Bytes(), timeout=60))
        self.sizes()
        self.stream(0, 0, 0, "an empty stream")
        self.stream(1000, 1000, 0, "a stream of 1000 messages")
        self.stream(3, 10, grpc.StatusCode.ABORTED.value[0], "a stream that ends in an error")
        self.stream(100, 1048576, 0, "a stream of 100 MiB")
        self.endings()
        self.compressed()
        self.many()
        self.channel.close()


def refused_without_certificate(port, pb2, pb2_grpc, tls):
    """True if grpcio gets nowhere with the right CA but no certificate of its own."""
    options = [("grpc.ssl_target_name_override", "localhost")]
    with grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(read(tls, "ca.pem")), options) as channel:
        try:
            pb2_grpc.InteropStub(channel).Echo(pb2.Bytes(), timeout=60)
            return False
        except grpc.RpcError as e:
            return e.code() == grpc.StatusCode.UNAVAILABLE


def run_our_server(program, pb2, pb2_grpc, tls, label):
    server = subprocess.Popen([program] + ([tls] if tls else []), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    try:
        port = int(server.stdout.readline())
        Caller(port, pb2, pb2_grpc, tls, label).run()
        if tls:
            emit(refused_without_certificate(port, pb2, pb2_grpc, tls), f"{label}: no certificate, no service")
        emit(server.poll() is None, f"{label}: the server is still there")
    finally:
        server.stdin.close()
        emit(server.wait(60) == 0, f"{label}: the server ended cleanly", f"status {server.returncode}")


def main():
    server, client = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as directory:
        make_stubs(directory)
        make_certificates(directory)
        import interop_pb2
        import interop_pb2_grpc
        for tls, kind in ((None, "plain"), (directory, "mutual TLS")):
            run_our_server(server, interop_pb2, interop_pb2_grpc, tls, f"grpcio calls us, {kind}")
            run_our_client(client, interop_pb2, interop_pb2_grpc, tls, f"we call grpcio, {kind}")
    print(f"1..{cases}")
    sys.exit(failures > 0)


main()
