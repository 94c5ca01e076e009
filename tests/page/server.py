"""An MCP server whose one tool has a hostile name, and whose errors are hostile too. Prints its URL, ends with its input."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOOL = sys.argv[1]
ERROR = f"no {TOOL} today \u202e\u001b[2J</pre></svg>"
calls = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global calls
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method, error = request.get("method"), None
        if method == "initialize":
            info = {"name": TOOL, "version": "1"}
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
        elif method == "tools/list":
            result = {"tools": [{"name": TOOL, "inputSchema": {"type": "object"}}]}
        elif method == "tools/call":
            calls += 1
            # Each second in which seconds are a multiple of four begins with a stall.
            if calls % 200 == 0:
                time.sleep(0.6)
            failed = calls % 7 == 0
            result = {"content": [{"type": "text", "text": ERROR if failed else "done"}], "isError": failed}
        else:
            result, error = None, {"code": -32601, "message": "unknown method"}
        if "id" not in request:
            return self.answer(202, b"")
        reply = {"jsonrpc": "2.0", "id": request["id"]}
        reply |= {"error": error} if error else {"result": result}
        self.answer(200, json.dumps(reply).encode())

    def do_GET(self):
        self.answer(405, b"")

    do_DELETE = do_GET

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}/mcp", flush=True)
sys.stdin.read()
