// Five thousand virtual machines: node crowd.mjs URL FOLDER CHROMIUM NAME. The page keeps the rows in view only; scrolling shows the rest;
// a machine's name that looks like markup is text.
import assert from "node:assert/strict";
import { browse } from "./browse.mjs";

const [url, folder, executablePath, odd] = process.argv.slice(2);
const { page, errors, see, steps } = await browse(url, folder, executablePath);

async function scrolled(place, row) {
    await page.goto(`${url}/#/${place}`);
    await page.locator(row).nth(5).waitFor();
    const nodes = () => page.evaluate(() => document.querySelectorAll("*").length);
    const first = await page.locator(row).first().textContent();
    assert.ok(await nodes() < 1500, `${await nodes()} elements for 5000 machines`);
    const frames = await page.evaluate(async () => {
        const box = document.querySelector(".long"), took = [];
        for (let i = 1; i <= 60; i++) {
            const begun = performance.now();
            box.scrollTop = box.scrollHeight * i / 60;
            await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
            took.push(performance.now() - begun);
        }
        return took.sort((a, b) => a - b)[30];
    });
    await page.waitForFunction(([which, text]) => document.querySelector(which).textContent !== text, [row, first]);
    assert.ok(await nodes() < 1500);
    const last = await page.evaluate(() => {
        const rows = [...document.querySelectorAll(".long [role=listitem]")];
        return Math.max(...rows.map(one => Number(one.getAttribute("aria-posinset")))) === Number(rows[0].getAttribute("aria-setsize"));
    });
    assert.ok(last, "the end of the list is not reached");
    console.log(`ok   ${place}: ${await nodes()} elements, ${frames.toFixed(0)} ms for a jump`);
}

process.exit(await steps({
    async "workstations"() {
        await scrolled("workstations", ".machine");
        assert.match(await page.locator(".count").textContent(), /^5\d{3} of 5\d{3}$/);
        await page.getByRole("searchbox").fill("onerror");
        await page.locator(".machine b", { hasText: odd }).waitFor();
        assert.equal(await page.locator(".machine img").count(), 0);
        await see("crowd");
    },
    async "the network monitor"() {
        await scrolled("monitor", ".lane:not(.scale)");
        assert.deepEqual(errors, []);
    },
}));
