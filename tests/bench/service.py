# SPDX-License-Identifier: Apache-2.0
"""service.py ADDRESS PORT: a service of one process that answers every HTTP request with 200."""
import selectors
import socket
import sys

REPLY = b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


def main():
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((sys.argv[1], int(sys.argv[2])))
    server.listen(128)
    server.setblocking(False)
    sel = selectors.DefaultSelector()
    sel.register(server, selectors.EVENT_READ)
    while True:
        for key, _ in sel.select():
            if key.fileobj is server:
                conn = server.accept()[0]
                sel.register(conn, selectors.EVENT_READ)
                continue
            conn = key.fileobj
            try:
                if conn.recv(4096):
                    conn.sendall(REPLY)
            except OSError:
                pass
            sel.unregister(conn)
            conn.close()


if __name__ == "__main__":
    main()
