"""Callers of the gateway that are not ours: httpx and h2 for HTTP/2, websockets at both ends of a tunnel.

python3 gateway.py MODE ADDRESS KEY [CA]; what it finds wrong it says and ends with 1.
"""

import asyncio
import socket
import ssl
import struct
import sys

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import httpx
import websockets

LIMIT = 30.0
FRAME_HEADERS, FRAME_RST_STREAM, FRAME_SETTINGS, FRAME_CONTINUATION = 1, 3, 4, 9
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def check(is_so: bool, what: object) -> None:
    if not is_so:
        sys.exit(f"wrong: {what}")


async def calls(address: str, key: str, ca: str) -> None:
    """Many calls at once on one connection, bodies both ways, by TLS and ALPN."""
    context = ssl.create_default_context(cafile=ca)
    limits = httpx.Limits(max_connections=1)
    url = f"https://localhost:{address.split(':')[1]}/x"
    async with httpx.AsyncClient(http2=True, verify=context, limits=limits, timeout=LIMIT) as client:
        headers = {"x-api-key": key}

        async def call(number: int) -> None:
            body = b"b" * (number * 1000)
            answer = await client.post(url, headers=headers, content=body)
            check(answer.http_version == "HTTP/2", answer.http_version)
            check(answer.status_code == 200, answer.text)
            seen = answer.json()
            check(seen["bytes"] == len(body), seen)
            check(seen["headers"]["x-forwarded-proto"] == "https", seen)
            check(seen["headers"]["x-forwarded-host"].startswith("localhost:"), seen)

        await asyncio.gather(*(call(number) for number in range(50)))
        large = await client.get(url, headers=headers | {f"x-{n}": "v" * 1000 for n in range(90)})
        check(large.status_code == 431, large.status_code)
        again = await client.get(url, headers=headers)
        check(again.status_code == 200, again.status_code)


def begin(address: str) -> tuple[socket.socket, h2.connection.H2Connection]:
    host, port = address.split(":")
    stream = socket.create_connection((host, int(port)), timeout=LIMIT)
    config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
    connection = h2.connection.H2Connection(config=config)
    connection.initiate_connection()
    stream.sendall(connection.data_to_send())
    return stream, connection


def head(key: str, method: str = "GET") -> list[tuple[str, str]]:
    return [
        (":method", method),
        (":scheme", "http"),
        (":authority", "gateway"),
        (":path", "/x"),
        ("x-api-key", key),
    ]


def reset(address: str, key: str) -> None:
    """Calls begun only to be reset (CVE-2023-44487): the connection is closed, others go on."""
    stream, connection = begin(address)
    sent = 0
    try:
        for number in range(20_000):
            connection.send_headers(2 * number + 1, head(key), end_stream=True)
            connection.reset_stream(2 * number + 1)
            sent = number
            stream.sendall(connection.data_to_send())
        while stream.recv(65_536):
            pass
    except (BrokenPipeError, ConnectionResetError):
        pass
    except TimeoutError:
        sys.exit(f"{sent} resets, and the connection is still open")
    stream, connection = begin(address)
    status, _ = answer(stream, connection, head(key))
    check(status == "200", status)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def continuation(address: str, key: str) -> None:
    """Headers that never end (CVE-2024-27316): the connection is closed before they fill the memory."""
    host, port = address.split(":")
    stream = socket.create_connection((host, int(port)), timeout=LIMIT)
    stream.sendall(PREFACE + frame(FRAME_SETTINGS, 0, 0, b""))
    stream.sendall(frame(FRAME_HEADERS, 0, 1, b"\x82"))
    # A literal header without indexing: a name of one letter and a value of 100.
    field = b"\x00\x01a\x64" + b"v" * 100
    sent = 0
    try:
        for _ in range(20_000):
            piece = frame(FRAME_CONTINUATION, 0, 1, field * 100)
            stream.sendall(piece)
            sent += len(piece)
        while stream.recv(65_536):
            pass
    except (BrokenPipeError, ConnectionResetError):
        pass
    except TimeoutError:
        sys.exit(f"{sent} bytes of headers, and the connection is still open")
    stream, connection = begin(address)
    status, _ = answer(stream, connection, head(key))
    check(status == "200", status)


def answer(
    stream: socket.socket, connection: h2.connection.H2Connection, fields: list[tuple[str, str]]
) -> tuple[str, bytes]:
    number = connection.get_next_available_stream_id()
    connection.send_headers(number, fields, end_stream=True)
    stream.sendall(connection.data_to_send())
    status, body = "none", b""
    while True:
        for event in connection.receive_data(stream.recv(65_536)):
            if isinstance(event, h2.events.ResponseReceived):
                status = dict(event.headers)[":status"]
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                return status, body
        stream.sendall(connection.data_to_send())


async def echo(socket_: websockets.ServerConnection) -> None:
    async for message in socket_:
        await socket_.send(message)


async def websocket(address: str, key: str) -> None:
    """A WebSocket server's port on standard output, then a client that reaches it by the gateway."""
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        headers = {"x-api-key": key}
        url = f"ws://{address}/x"
        async with websockets.connect(url, additional_headers=headers, max_size=None) as client:
            for message in ["short", "ă" * 70_000, b"\x00" * 200_000]:
                await client.send(message)
                check(await client.recv() == message, "an echo differs")
            waiter = await client.ping()
            await asyncio.wait_for(waiter, LIMIT)
        check(client.close_code == 1000, client.close_code)
        try:
            async with websockets.connect(url):
                sys.exit("a WebSocket without a key was let in")
        except websockets.InvalidStatus as refused:
            check(refused.response.status_code == 401, refused)
        await asyncio.to_thread(extended, address, key)


def extended(address: str, key: str) -> None:
    """The same over a stream of HTTP/2 (RFC 8441)."""
    stream, connection = begin(address)
    allowed = False
    while not allowed:
        for event in connection.receive_data(stream.recv(65_536)):
            if isinstance(event, h2.events.RemoteSettingsChanged):
                wanted = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
                allowed = wanted in event.changed_settings
                check(allowed, "extended CONNECT is not offered")
    fields = head(key, "CONNECT") + [(":protocol", "websocket"), ("sec-websocket-version", "13")]
    fields.sort(key=lambda field: not field[0].startswith(":"))
    connection.send_headers(1, fields)
    stream.sendall(connection.data_to_send())
    status, got = "none", b""
    # A text of five letters, masked with zeros, and back without a mask.
    text = b"\x81\x85\x00\x00\x00\x00salut"
    while got != b"\x81\x05salut":
        for event in connection.receive_data(stream.recv(65_536)):
            if isinstance(event, h2.events.ResponseReceived):
                status = dict(event.headers)[":status"]
                check(status == "200", event.headers)
                connection.send_data(1, text)
            elif isinstance(event, h2.events.DataReceived):
                got += event.data
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                sys.exit(f"the tunnel ended: {status} {got!r}")
        stream.sendall(connection.data_to_send())


def main() -> None:
    mode, address, key, *rest = sys.argv[1:]
    if mode == "calls":
        asyncio.run(calls(address, key, *rest))
    elif mode == "websocket":
        asyncio.run(websocket(address, key))
    else:
        {"reset": reset, "continuation": continuation}[mode](address, key)


if __name__ == "__main__":
    main()
