"""A payments server on the official Python SDK, 2.x or 1.x, whichever is installed.

    payments_server.py PORT stateful|stateless sse|json

GET /health tells how many sessions are open.
"""

import logging
import sys
import uuid

import anyio
import uvicorn
from starlette.responses import JSONResponse

port, stateless, as_json = int(sys.argv[1]), sys.argv[2] == "stateless", sys.argv[3] == "json"
modes = {"stateless_http": stateless, "json_response": as_json}
try:
    from mcp.server.mcpserver import MCPServer

    mcp = MCPServer("payments-on-python-sdk-2")
    make_app = lambda: mcp.streamable_http_app(**modes)
except ImportError:
    from mcp.server.fastmcp import FastMCP

    mcp = FastMCP("payments-on-python-sdk-1", **modes)
    make_app = mcp.streamable_http_app

payments: dict[str, dict] = {}
by_key: dict[str, str] = {}


@mcp.tool()
async def create_payment(
    amount: float, currency: str, method: str, customer_id: str, idempotency_key: str,
    description: str = "", metadata: dict | None = None,
) -> dict:
    """Creates a payment; the same key again gives the same payment."""
    payment_id = by_key.setdefault(idempotency_key, f"pay_{uuid.uuid4().hex}")
    payment = {"payment_id": payment_id, "amount": amount, "currency": currency, "status": "pending"}
    return payments.setdefault(payment_id, payment)


@mcp.tool()
async def verify_payment(payment_id: str) -> dict:
    """Says what became of a payment."""
    if payment_id not in payments:
        raise ValueError(f"there is no payment {payment_id}")
    return payments[payment_id] | {"status": "completed"}


@mcp.tool()
async def get_wallet_balance(customer_id: str, currency: str) -> dict:
    """Tells a balance."""
    return {"customer_id": customer_id, "currency": currency, "balance": 100.0}


@mcp.tool()
async def slow(seconds: float) -> str:
    """Answers after a while."""
    await anyio.sleep(seconds)
    return f"waited {seconds} s"


@mcp.custom_route("/health", methods=["GET"])
async def health(_request):
    return JSONResponse({"status": "ok", "sessions": len(mcp.session_manager._server_instances)})


logging.disable(logging.WARNING)
uvicorn.run(make_app(), host="127.0.0.1", port=port, log_level="error")
