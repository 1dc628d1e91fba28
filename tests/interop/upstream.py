"""A service by TLS that is not ours, for the gateway to call: h2 for HTTP/2, a reader of our own for HTTP/1.1.

python3 upstream.py CERTIFICATE KEY [PROTOCOL…]; it offers these protocols (h2, http/1.1), prints its port, answers
every call with what it saw of it as JSON, and ends when its standard input does.
"""

import asyncio
import json
import ssl
import sys

import h2.config
import h2.connection
import h2.events


# The name that was asked for last (SNI).
ASKED: dict[str, str | None] = {}


def seen(protocol: str, path: str) -> bytes:
    return json.dumps({"protocol": protocol, "path": path, "name": ASKED.get("name")}).encode()


async def http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
    connection = h2.connection.H2Connection(config=config)
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    while data := await reader.read(65_536):
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                body = seen("h2", dict(event.headers)[":path"])
                head = [(":status", "200"), ("content-type", "application/json"), ("content-length", str(len(body)))]
                connection.send_headers(event.stream_id, head)
                connection.send_data(event.stream_id, body, end_stream=True)
        writer.write(connection.data_to_send())
        await writer.drain()


async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        body = seen("http/1.1", head.split(b" ")[1].decode())
        start = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(start.encode() + body)
        await writer.drain()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    protocol = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    try:
        await (http2 if protocol == "h2" else http1)(reader, writer)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(certificate: str, key: str, protocols: list[str]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(protocols)
    # What a caller asked for is told to this alone.
    context.sni_callback = lambda _connection, name, _context: ASKED.update(name=name)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:] or ["h2", "http/1.1"]))
