# A DNS server by TLS, with OpenSSL: says 192.0.2.85 to every question, and writes a line for each and for each connection.
# usage: dot.py CERTIFICATE KEY PORT LOG
import socket, ssl, struct, sys, threading

certificate, key, port, log = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
log = open(log, "a", buffering=1)
listener = socket.create_server(("127.0.0.1", int(port)))


def exactly(stream, count):
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def serve(plain):
    try:
        with context.wrap_socket(plain, server_side=True) as stream:
            log.write("connection\n")
            while True:
                query = exactly(stream, struct.unpack(">H", exactly(stream, 2))[0])
                end = 12
                while query[end]:
                    end += 1 + query[end]
                question = query[12:end + 5]
                log.write("question of %d bytes\n" % len(query))
                record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 85])
                answer = query[:2] + b"\x81\xa0\0\1\0\1\0\0\0\0" + question + record
                stream.sendall(struct.pack(">H", len(answer)) + answer)
    except (EOFError, OSError) as why:
        log.write("end: %s\n" % type(why).__name__)


while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
