// A payments server on the official TypeScript SDK 2.x, which opens no sessions.
//
//     node payments_server.mjs SDK PORT stateless|reject auto|sse|json
//
// SDK is the folder of the package @modelcontextprotocol/server. With `reject`, revisions with a handshake are refused.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';

const [sdk, port, legacy, responseMode] = process.argv.slice(2);
const require = createRequire(`${sdk}/package.json`);
const { McpServer, createMcpHandler, fromJsonSchema } = require('@modelcontextprotocol/server');
const { toNodeHandler } = require('@modelcontextprotocol/node');

const payments = new Map();
const byKey = new Map();

function create({ amount, currency, idempotency_key: key }) {
  const known = byKey.get(key);
  if (known) return known;
  const payment = { payment_id: `pay_${randomUUID()}`, amount, currency, status: 'pending' };
  payments.set(payment.payment_id, payment);
  byKey.set(key, payment);
  return payment;
}

function verify({ payment_id: id }) {
  if (!payments.has(id)) throw new Error(`there is no payment ${id}`);
  return { ...payments.get(id), status: 'completed' };
}

const balance = (wanted) => ({ ...wanted, balance: 100 });
const slow = async ({ seconds }) => ({ waited: await sleep(1000 * seconds, seconds) });

const [text, number] = ['string', 'number'];
const payment = { amount: number, currency: text, method: text, customer_id: text, idempotency_key: text };
const tools = [
  ['create_payment', payment, create],
  ['verify_payment', { payment_id: text }, verify],
  ['get_wallet_balance', { customer_id: text, currency: text }, balance],
  ['slow', { seconds: number }, slow],
];

function server() {
  const mcp = new McpServer({ name: 'payments-on-typescript-sdk-2', version: '1.0.0' });
  for (const [name, types, work] of tools) {
    const properties = Object.fromEntries(Object.entries(types).map(([key, type]) => [key, { type }]));
    const inputSchema = fromJsonSchema({ type: 'object', properties, required: Object.keys(types) });
    mcp.registerTool(name, { description: `${name}, as a test wants it`, inputSchema }, async (args) => {
      const structuredContent = await work(args);
      return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent };
    });
  }
  return mcp;
}

createServer(toNodeHandler(createMcpHandler(server, { legacy, responseMode }))).listen(Number(port), '127.0.0.1');
