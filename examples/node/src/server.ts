import { createServer } from "node:http";
import { hostname } from "node:os";
import express from "express";

const port = Number(process.env.PORT ?? 3000);
const database = databaseHost(process.env.DATABASE_URL);
let stopping = false;

const app = express();
app.get("/", (_request, response) => {
  response.json({ message: "Hello from myapp", version: "1.0.0", hostname: hostname(), database });
});
// Alive: the process answers. Ready: it also wants traffic, which ends when it is asked to stop.
app.get("/healthz", (_request, response) => {
  response.send("ok\n");
});
app.get("/readyz", (_request, response) => {
  response.status(stopping ? 503 : 200).send(stopping ? "stopping\n" : "ready\n");
});

const server = createServer(app);
server.listen(port, () => console.log(`listening on port ${port}, database on ${database}`));

process.on("SIGTERM", () => {
  stopping = true;
  console.log("stopping: waiting for the requests in flight");
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});

// The example has no database; it shows that the secret arrived without showing the secret.
function databaseHost(url: string | undefined): string {
  if (!url) {
    console.error("DATABASE_URL is not set");
    process.exit(1);
  }
  return new URL(url).host;
}
