// SPDX-License-Identifier: Apache-2.0
// Uses a real controller through the generated client: an operator's day, in typed calls. Prints what it saw.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  ApiError, AuditService, ClusterService, DecisionsService, DrainsService, EventsService, HealthService, ModeService,
  NodesService, OpenAPI, OverridesService, ServicesService, SitesService, TokensService,
} from "../../build/api-client/src";

OpenAPI.BASE = process.env.SLUICE_URL!;
OpenAPI.TOKEN = readFileSync(process.env.SLUICE_TOKEN_FILE!, "ascii").trim();

async function refused(status: number, call: Promise<unknown>): Promise<string> {
  const e = await call.then(() => assert.fail("not refused"), (x) => x);
  assert.ok(e instanceof ApiError, String(e));
  assert.equal(e.status, status, JSON.stringify(e.body));
  assert.equal(e.body.status, status);
  return e.body.detail;
}

const seen: string[] = [];

const document = JSON.parse(readFileSync(process.env.SLUICE_CLUSTER!, "utf8"));
await refused(428, ClusterService.putCluster({ requestBody: document }));
const dry = await ClusterService.putCluster({ dryRun: "true", requestBody: document });
assert.ok(dry.dry_run && !dry.changed && dry.changes.length > 0);
const applied = await ClusterService.putCluster({ ifMatch: "*", requestBody: document });
assert.ok(applied.changed);
assert.match(await refused(412, ClusterService.putCluster({ ifMatch: '"old"', requestBody: document })), /changed/);
assert.deepEqual(await ClusterService.getCluster(), document);
seen.push("cluster");

const sites = await SitesService.listSites({});
assert.deepEqual(sites.sites.map((s) => s.name), document.sites.map((s: { name: string }) => s.name));
const page = await NodesService.listNodes({ limit: 1 });
assert.equal(page.nodes.length, 1);
const rest = await NodesService.listNodes({ after: page.next! });
assert.notEqual(rest.nodes[0].name, page.nodes[0].name);
const site = sites.sites[0].name, node = page.nodes[0].name;
assert.equal((await SitesService.getSite({ name: site })).name, site);
const services = await ServicesService.listServices({});
const shard = services.services[0].shards[0];
assert.equal((await ServicesService.getShard({ name: shard })).name, shard);
assert.match(await refused(404, NodesService.getNode({ name: "nowhere" })), /nowhere/);
seen.push("sites", "nodes", "services", "shards");

await NodesService.drainNode({ name: node, requestBody: { reason: "new disk", expires_s: 600 } });
const drains = await DrainsService.listDrains();
assert.deepEqual(drains.drains.map((d) => [d.kind, d.name, d.reason]), [["node", node, "new disk"]]);
await NodesService.undrainNode({ name: node, requestBody: { reason: "done" } });
assert.equal((await DrainsService.listDrains()).drains.length, 0);
seen.push("drains");

const order = { site, shard, grade: "prepend1", reason: "peering down", confirm_s: 60 };
const made = await OverridesService.makeOverride({ idempotencyKey: "once", requestBody: order });
assert.deepEqual(await OverridesService.makeOverride({ idempotencyKey: "once", requestBody: order }), made);
await refused(409, OverridesService.makeOverride({ requestBody: order }));
assert.equal(made.state, "unconfirmed");
assert.equal((await OverridesService.confirmOverride({ id: made.id, requestBody: {} })).state, "active");
await OverridesService.deleteOverride({ id: made.id, reason: "repaired" });
assert.equal((await OverridesService.listOverrides({})).overrides.length, 0);
seen.push("overrides");

await ModeService.putMode({ requestBody: { mode: "steer", reason: "go" } });
assert.equal((await ModeService.getMode()).mode, "steer");
const audit = await AuditService.listAudit({ kind: "mode,drain,override" });
assert.ok(audit.audit.some((r) => r.kind === "override" && r.reason === "repaired"));
assert.equal((await DecisionsService.listDecisions({ site: "nowhere" })).decisions.length, 0);
assert.ok((await EventsService.listEvents({ limit: 5 })).events.length > 0);
seen.push("mode", "audit", "decisions", "events");

const token = await TokensService.makeToken({ requestBody: { name: "dashboard", role: "viewer" } });
const admin = OpenAPI.TOKEN;
OpenAPI.TOKEN = token.token;
assert.ok((await DecisionsService.getStatus()).cluster);
assert.match(await refused(403, ModeService.putMode({ requestBody: { mode: "freeze" } })), /operator/);
OpenAPI.TOKEN = admin;
await TokensService.revokeToken({ name: "dashboard" });
OpenAPI.TOKEN = token.token;
await refused(401, SitesService.listSites({}));
assert.equal((await HealthService.getHealth()).status, "ok");
seen.push("tokens", "health");

console.log(JSON.stringify(seen));
