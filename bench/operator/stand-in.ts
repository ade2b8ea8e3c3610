import { createServer } from 'node:http';

/**
 * In place of a thousand relays: answers `/health` and `/ready` at the address of every simulated pod, as a relay does that
 * is registered and serves. Which pod was asked shows the address of the connection.
 */
const HEALTH_PORT = 9091;
const DATA_PORT = 4000;

const server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
  const ip = request.socket.localAddress ?? '';
  response.setHeader('content-type', 'application/json');
  response.end(
    JSON.stringify({
      state: 'serving',
      registered_with_master: true,
      draining: false,
      total_sessions: 0,
      active_sessions: 0,
      max_sessions: 50,
      endpoints: [`${ip}:${DATA_PORT}`],
      not_ready_reason: null,
    }),
  );
});
server.listen(HEALTH_PORT, '0.0.0.0', () => console.log('listening'));
