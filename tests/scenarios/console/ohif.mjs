// An OHIF viewer draws a study and scrolls through it: node ohif.mjs URL FOLDER CHROMIUM STUDY NAME. What counts is the canvas: grey values
// that a blank or broken picture does not have, and others after the wheel. Nothing may be asked of any other address. WebGL comes from
// SwiftShader, so no graphics card is needed.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const GREYS = 60, PATIENCE = 90000;
const [url, folder, executablePath, study, name] = process.argv.slice(2);
const user = mkdtempSync(join(tmpdir(), "vitrine-ohif-"));
const context = await chromium.launchPersistentContext(user, {
    executablePath, headless: true, viewport: { width: 1200, height: 780 },
    args: ["--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking",
        "--no-first-run", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
});
context.setDefaultTimeout(PATIENCE);
const elsewhere = [], refused = [], frames = [], said = [];
await context.route(target => target.href !== "about:blank" && !target.href.startsWith(url) && !/^(data|blob):/.test(target.href),
    route => { elsewhere.push(route.request().url()); return route.abort(); });
context.on("request", request => {
    if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url())) elsewhere.push(request.url());
    if (/\/dicom-web\/.*\/frames\/\d+/.test(request.url())) frames.push(request.url());
});
const page = context.pages()[0] || await context.newPage();
page.on("pageerror", error => said.push(String(error)));
page.on("console", message => {
    if (/Content.Security.Policy/i.test(message.text())) refused.push(message.text());
    if (message.type() === "error") said.push(message.text());
});

// The largest picture on the page: how many greys, how much of it is not black, and a sum that tells one picture from another.
function look() {
    const canvases = [...document.querySelectorAll("canvas.cornerstone-canvas")].sort((a, b) => b.width * b.height - a.width * a.height);
    if (!canvases.length || !canvases[0].width) return { greys: 0, lit: 0, sum: 0 };
    const { data } = canvases[0].getContext("2d").getImageData(0, 0, canvases[0].width, canvases[0].height);
    const greys = new Set();
    let lit = 0, sum = 0;
    for (let i = 0; i < data.length; i += 4) {
        if (data[i] !== data[i + 1] || data[i] !== data[i + 2] || !data[i + 3]) continue;
        greys.add(data[i]);
        lit += data[i] > 0;
        sum = (Math.imul(sum, 31) + data[i]) | 0;
    }
    return { greys: greys.size, lit: lit / (data.length / 4), sum };
}
async function drawn(what, other) {
    const end = Date.now() + PATIENCE;
    for (let seen, last; ; await page.waitForTimeout(300)) {
        last = seen;
        seen = await page.evaluate(look);
        if (seen.greys >= GREYS && seen.lit > 0.05 && seen.sum !== other && last?.sum === seen.sum) return seen;
        assert.ok(Date.now() < end, `${what}: ${JSON.stringify(seen)}`);
    }
}

try {
    await page.goto(`${url}/ohif/viewer?StudyInstanceUIDs=${study}`);
    const first = await drawn("no picture");
    for (const word of ["Skip all", "Confirm and hide"]) await page.getByText(word).click();   // what greets a new user lies over the picture
    await page.getByText("Skip all").waitFor({ state: "hidden" });
    await page.screenshot({ path: join(folder, `${name}.png`) });
    const box = await page.locator("canvas.cornerstone-canvas").first().boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    for (let i = 0; i < 4; i++) {
        await page.mouse.wheel(0, 100);
        await page.waitForTimeout(200);
    }
    const later = await drawn("the wheel changes nothing", first.sum);
    await page.screenshot({ path: join(folder, `${name}-scrolled.png`) });
    assert.ok(new Set(frames).size > 1, `${frames.length} frames were asked for`);
    assert.deepEqual(elsewhere, [], "asked of others");
    assert.deepEqual(refused, [], "the policy refuses what the viewer needs");
    console.log(`ok   ${name}: ${first.greys} greys, scrolled ${later.greys}, ${new Set(frames).size} frames`);
} catch (error) {
    await page.screenshot({ path: join(folder, `${name}-failed.png`) });
    console.log([...new Set([...said, ...refused])].slice(0, 20).join("\n"));
    throw error;
} finally {
    await context.close();
    rmSync(user, { recursive: true, force: true });
}
