// Virtual machines: verbs with their impact first, snapshots, the screen by noVNC, incidents with their evidence; the last picture when
// the pool's daemon is away.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const machineSteps = ({ page, url, folder, see, outside, lost }) => ({
    async "a virtual machine is suspended and resumed, its impact shown first"() {
        await page.goto(`${url}/#/workstations`);
        await page.locator(".machine").nth(5).waitFor();
        await see("workstations");
        const name = await page.locator(".machine[data-state=Running] b").first().textContent();
        await page.getByRole("searchbox").fill(name);
        await page.waitForFunction(() => document.querySelectorAll(".machine").length === 1);
        await page.getByRole("button", { name: `Suspend ${name}` }).click();
        await page.getByText("No transfer goes to it now.").waitFor();
        await page.getByText("Whoever works there is interrupted.").waitFor();
        await page.getByRole("button", { name: "Yes, do it" }).click();
        await page.locator(".machine[data-state=Suspended]").waitFor();
        await page.getByRole("button", { name: `Resume ${name}` }).click();
        await page.locator(".machine[data-state=Running]").waitFor();
    },
    async "several are suspended and resumed together, each with its own end"() {
        await page.getByRole("searchbox").fill("");
        const running = await page.locator(".machine[data-state=Running] b").allTextContents(), two = running.filter(name => name !== lost).slice(0, 2);
        for (const name of two)
            await page.getByRole("checkbox", { name: `Choose ${name}`, exact: true }).check();
        await page.getByText("2 chosen").waitFor();
        await page.getByRole("button", { name: "Suspend 2 of the chosen machines" }).click();
        await page.getByText(`${two.join(", ")}. Whoever works there is interrupted.`).waitFor();
        await see("impact");
        await page.getByRole("button", { name: "Yes, do it" }).click();
        for (const name of two)
            await page.locator(".machine[data-state=Suspended]", { hasText: name }).waitFor();
        await page.getByRole("button", { name: "Resume 2 of the chosen machines" }).click();
        await page.getByRole("button", { name: "Yes, do it" }).click();
        for (const name of two)
            await page.locator(".machine[data-state=Running]", { hasText: name }).waitFor();
        await page.getByRole("button", { name: "Choose none" }).click();
    },
    async "what others do to a machine is on the page within a second"() {
        const name = (await page.locator(".machine[data-state=Running] b").allTextContents()).find(one => one !== lost);
        writeFileSync(join(folder, "suspend-name"), name);
        await page.evaluate(wanted => {
            window.suspendedAt = 0;
            new MutationObserver(() => {
                const row = [...document.querySelectorAll(".machine")].find(one => one.querySelector("b").textContent === wanted);
                if (!window.suspendedAt && row && row.dataset.state === "Suspended")
                    window.suspendedAt = Date.now();
            }).observe(document.body, { subtree: true, childList: true, attributes: true });
        }, name);
        await outside("suspend");
        await page.waitForFunction(() => window.suspendedAt > 0);
        const late = await page.evaluate(() => window.suspendedAt) - Number(readFileSync(join(folder, "suspended"), "utf8"));
        console.log(`     on the page ${Math.round(late)} ms after the command ended`);
        assert.ok(late < 10000, `${late} ms`);
        await page.getByRole("button", { name: `Resume ${name}` }).click();
        await page.locator(".machine[data-state=Running]", { hasText: name }).waitFor();
    },
    async "what the pool would refuse cannot be confirmed"() {
        await page.getByRole("searchbox").fill("");
        const name = await page.locator(".machine[data-state=Running] b").nth(1).textContent();
        await page.getByRole("searchbox").fill(name);
        await page.waitForFunction(() => document.querySelectorAll(".machine").length === 1);
        await page.route("**/suspend", route => route.fulfill({ json: { rows: [{ name, outcome: "refused", error: "It is being moved." }], notes: [], status: 1 } }));
        await page.getByRole("button", { name: `Suspend ${name}` }).click();
        await page.getByText("It is being moved.").waitFor();
        assert.ok(await page.getByRole("button", { name: "Yes, do it" }).isDisabled());
        await page.unroute("**/suspend");
        await page.getByRole("button", { name: "Cancel" }).click();
    },
    async "snapshots are taken, gone back to and deleted"() {
        await page.getByRole("button", { name: /^Snapshots/ }).click();
        const tree = page.locator(".tree li");
        await page.getByRole("button", { name: "Take one now" }).click();
        await tree.first().waitFor();
        await page.getByRole("button", { name: "Take one now" }).click();
        await tree.nth(1).waitFor();
        await page.waitForFunction(() => [...document.querySelectorAll(".tree li")].map(one => one.getAttribute("aria-level")).join() === "1,2");
        await page.locator(".tree li", { hasText: "it goes on from here" }).waitFor();
        await see("snapshots");
        await page.getByRole("button", { name: /^Revert to/ }).first().click();
        const word = page.locator("dialog[aria-label=Confirm] b");
        await word.waitFor();
        await page.locator("dialog[aria-label=Confirm] input").fill(await word.textContent());
        await page.getByRole("button", { name: "Yes, do it" }).click();
        await page.locator("dialog[aria-label=Confirm]").waitFor({ state: "detached" });
        await page.getByRole("button", { name: /^Delete/ }).last().click();
        await page.getByRole("button", { name: "Yes, do it" }).click();
        await tree.nth(1).waitFor({ state: "detached" });
        await page.getByRole("button", { name: "Close" }).click();
    },
    async "the screen of a virtual machine is seen and takes keys"() {
        await page.getByRole("searchbox").fill("");
        await page.getByLabel("State").selectOption("Running");
        const name = await page.locator(".machine[data-state=Running] b").nth(2).textContent();
        await page.getByRole("button", { name: `Screen ${name}` }).click();
        await page.locator(".vm-screen[data-state=connected] canvas").waitFor();
        const bars = () => page.evaluate(() => {
            const c = document.querySelector(".vm-screen canvas"), look = c.getContext("2d");
            return [0, 1, 2, 3, 4, 5, 6, 7].map(i => [...look.getImageData(40 * i + 20, 100, 1, 1).data.slice(0, 3)].join(","));
        });
        await page.waitForFunction(() => document.querySelector(".vm-screen canvas").width === 320);
        await page.waitForFunction(() => {
            const c = document.querySelector(".vm-screen canvas");
            return c.getContext("2d").getImageData(60, 100, 1, 1).data[0] === 255;
        });
        assert.deepEqual((await bars()).slice(0, 7), ["255,255,255", "255,255,0", "0,255,255", "0,255,0", "255,0,255", "255,0,0", "0,0,255"]);
        const band = () => page.evaluate(() => [...document.querySelector(".vm-screen canvas").getContext("2d").getImageData(160, 195, 1, 1).data].join(","));
        const before = await band();
        await page.locator(".vm-screen canvas").click();
        await page.keyboard.press("a");
        for (let i = 0; await band() === before; i++) {
            assert.ok(i < 300, "a key did not reach the machine");
            await page.waitForTimeout(100);
        }
        await see("screen");
        await page.getByRole("button", { name: "Close" }).click();
        await page.locator(".vm-screen").waitFor({ state: "detached" });
    },
    async "a ticket for a screen is good once and for nobody without it"() {
        const [first, again, none] = await page.evaluate(async () => {
            const vms = (await (await fetch("/api/pool/vms")).json()).rows;
            const { ticket } = await (await fetch(`/api/pool/vms/${vms.find(vm => vm.power_state === "Running").uuid}/screen`, { method: "POST" })).json();
            const open = words => new Promise(done => {
                const socket = new WebSocket(`${location.origin.replace("http", "ws")}/api/screen?ticket=${words}`);
                socket.onmessage = () => { done("bytes"); socket.close(); };
                socket.onerror = () => done("refused");
            });
            return [await open(ticket), await open(ticket), await open("00")];
        });
        assert.deepEqual([first, again, none], ["bytes", "refused", "refused"]);
    },
    async "an incident appears by itself, with its evidence"() {
        await page.getByRole("link", { name: "Network monitor" }).click();
        await page.getByText(/1 incidents?, 1 open; 4 virtual machines? watched/).waitFor();
        const incident = page.locator(".incidents .now", { hasText: lost });
        await incident.getByText("network-lost").waitFor();
        await incident.getByText("still so").waitFor();
        const lane = page.locator("button.lane[data-open=yes]", { hasText: lost });
        await lane.locator("rect.network-lost").waitFor();
        assert.ok(await page.locator("button.lane").count() >= 10);
        await page.getByLabel("Time").selectOption({ label: "15 minutes" });
        await page.locator(".lane rect.watched").nth(1).waitFor();
        await see("monitor");
        await lane.click();
        await page.getByText("Evidence", { exact: true }).waitFor();
        await page.locator(".evidence dd", { hasText: "network-lost" }).waitFor();
        await see("incident");
        await page.getByRole("button", { name: "Close" }).click();
    },
    async "a machine is watched and no longer watched from its lane"() {
        const name = (await page.locator("button.lane", { hasText: "not watched" }).first().locator("b").textContent()).trim();
        await page.locator("button.lane", { hasText: name }).click();
        await page.getByRole("button", { name: "Watch it" }).click();
        await page.getByRole("button", { name: "Stop watching" }).waitFor();
        await page.getByRole("button", { name: "Stop watching" }).click();
        await page.getByRole("button", { name: "Watch it" }).waitFor();
        await page.getByRole("button", { name: "Close" }).click();
    },
    async "without the pool's daemon the last picture stays, with its age, and comes alive again"() {
        await page.getByRole("link", { name: "Workstations" }).click();
        await page.locator(".machine").nth(5).waitFor();
        await outside("pool-away");
        await page.locator(".age", { hasText: /What follows is \d+ (seconds|minutes) old/ }).waitFor();
        assert.ok(await page.locator(".machine").count() > 5, "the page is blank");
        await see("stale");
        for (const place of ["Network monitor", "Emergency", "Now"]) {
            await page.getByRole("link", { name: place }).click();
            await page.locator(".age").first().waitFor();
        }
        await page.getByRole("link", { name: "Emergency" }).click();
        await page.getByText("No master answers.").waitFor();
        await page.locator(".members li").first().waitFor();
        await outside("pool-back");
        await page.getByText("A master answers: there is no emergency.").waitFor();
    },
});
