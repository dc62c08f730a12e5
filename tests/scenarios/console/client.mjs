// npm's dicomweb-client against the node: node client.mjs URL STUDY SERIES INSTANCE
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { api } = require("dicomweb-client");
const [url, study, series, instance] = process.argv.slice(2);
const uids = { studyInstanceUID: study, seriesInstanceUID: series, sopInstanceUID: instance };
class Request {   // what the client wants of a browser, over fetch
    open(method, target) { Object.assign(this, { method, target, headers: {} }); }
    setRequestHeader(name, value) { this.headers[name] = value; }
    getResponseHeader(name) { return this.answer.headers.get(name); }
    getAllResponseHeaders() { return [...this.answer.headers].map(([name, value]) => `${name}: ${value}`).join("\r\n"); }
    abort() {}
    async send(body) {
        this.answer = await fetch(this.target, { method: this.method, headers: this.headers, body });
        const bytes = await this.answer.arrayBuffer();
        this.status = this.answer.status;
        const words = new TextDecoder().decode(bytes);
        this.responseText = words;
        this.response = this.responseType === "arraybuffer" ? bytes : this.responseType === "json" && words ? JSON.parse(words) : words;
        this.readyState = 4;
        this.onreadystatechange?.();
        this.onloadend?.();
    }
}
globalThis.XMLHttpRequest = Request;
const client = new api.DICOMwebClient({ url, singlepart: "bulkdata,image,video" });

assert.equal((await client.searchForStudies({ queryParams: { PatientID: "PAT1" } })).length, 1);
assert.equal((await client.searchForStudies({ queryParams: { PatientID: "NOBODY" } })).length, 0);
assert.equal((await client.searchForSeries({ studyInstanceUID: study })).length, 1);
assert.equal((await client.searchForInstances({ studyInstanceUID: study, seriesInstanceUID: series })).length, 8);
const metadata = await client.retrieveSeriesMetadata(uids);
assert.equal(metadata.length, 8);
const part10 = await client.retrieveInstance(uids);
assert.equal(new TextDecoder().decode(part10.slice(128, 132)), "DICM");
const rendered = await client.retrieveInstanceRendered(uids);
const jpeg = new Uint8Array(Array.isArray(rendered) ? rendered[0] : rendered);
assert.deepEqual([...jpeg.slice(0, 2)], [0xff, 0xd8]);
const [frame] = await client.retrieveInstanceFrames({ ...uids, frameNumbers: [1], mediaTypes: [{ mediaType: "application/octet-stream" }] });
assert.equal(frame.byteLength, 64 * 64 * 2);
console.log("ok   search, metadata, instance, rendered, frames");
