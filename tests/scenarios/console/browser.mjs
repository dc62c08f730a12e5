// Clicks through the pages: node browser.mjs URL FOLDER CHROMIUM LOST-VM ODD-VM CONTROL. Each step fails with a sentence; screenshots go
// to FOLDER. Nothing may be asked of any other address. CONTROL is a folder: a step that wants something done outside writes a file
// there by that name and waits until it is gone.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { browse } from "./browse.mjs";
import { checkSteps } from "./checks.mjs";
import { imageSteps } from "./images.mjs";
import { machineSteps } from "./machines.mjs";
import { placeSteps } from "./places.mjs";
import { troubleSteps } from "./trouble.mjs";

const [url, folder, executablePath, lost, odd, control] = process.argv.slice(2);
const { page, elsewhere, errors, see, steps } = await browse(url, folder, executablePath);

async function outside(name) {
    const file = join(control, name);
    writeFileSync(file, "");
    for (let i = 0; existsSync(file); i++) {
        assert.ok(i < 600, `${name} was not done outside`);
        await new Promise(later => setTimeout(later, 100));
    }
}
const world = { page, url, folder, see, outside, lost, odd };

process.exit(await steps({
    async "studies are found as one types"() {
        await page.goto(url);
        await page.getByText("Nobody has to log in").waitFor();
        const bytes = await page.evaluate(() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .filter(entry => !entry.name.includes("/api/") && !entry.name.includes("/dicom-web/")).reduce((sum, entry) => sum + entry.transferSize, 0));
        assert.ok(bytes > 1000 && bytes <= 150000, `the first page costs ${bytes} bytes`);
        await page.locator(".study").nth(3).waitFor();
        await page.getByRole("searchbox").fill("smith");
        await page.waitForFunction(() => document.querySelectorAll(".study").length === 2);
        await page.getByRole("searchbox").fill("ACC4");
        await page.waitForFunction(() => document.querySelectorAll(".study").length === 1);
        await page.getByRole("searchbox").fill("");
        await page.getByLabel("Modality").selectOption("MR");
        await page.waitForFunction(() => document.querySelectorAll(".study").length === 2);
        await page.getByLabel("Study date").selectOption({ label: "Last 7 days" });
        await page.getByText("No study matches.").waitFor();
        await page.getByLabel("Study date").selectOption({ label: "Any time" });
        await page.getByLabel("Modality").selectOption("");
        await page.locator(".study").nth(3).waitFor();
    },
    async "a name that looks like a script is text"() {
        await page.getByText("<script>alert(1)</script>").waitFor();
        assert.equal(await page.locator("main script").count(), 0);
    },
    async "series and instances open below a study"() {
        await page.locator(".study", { hasText: "Müller, Jörg" }).locator(".row").click();
        await page.locator(".series img").first().waitFor();
        await page.waitForFunction(() => [...document.querySelectorAll(".series img")].every(image => image.complete && image.naturalWidth > 0));
        await page.getByRole("button", { name: "Instances" }).first().click();
        await page.getByRole("link", { name: "Download instance 1" }).first().waitFor();
        await page.locator(".study", { hasText: "Müller, Anna" }).locator(".row").click();
        await page.getByRole("button", { name: "Instances" }).first().click();
        await page.getByRole("link", { name: "Download instance 24" }).waitFor();
        await page.waitForFunction(() => [...document.querySelectorAll(".series img")].every(image => image.complete && image.naturalWidth > 0));
        await see("studies");
        await page.locator(".study", { hasText: "Müller, Jörg" }).locator(".row").click();
        await page.waitForFunction(() => document.querySelector(".below .series b")?.textContent === "CT series of Thorax");
    },
    async "the viewer shows pixels and changes the window by the mouse"() {
        await page.getByRole("link", { name: "Show images" }).click();
        const canvas = page.locator("canvas[data-drawn=yes]");
        await canvas.waitFor();
        const bright = () => page.evaluate(() => {
            const c = document.querySelector("canvas"), data = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
            let sum = 0;
            for (let i = 0; i < data.length; i += 4)
                sum += data[i];
            return sum;
        });
        const before = await bright();
        assert.ok(before > 0, "the picture is black");
        const label = await page.locator(".window").textContent();
        const box = await canvas.boundingBox();
        await page.mouse.move(box.x + 100, box.y + 100);
        await page.mouse.down();
        await page.mouse.move(box.x + 160, box.y + 240, { steps: 5 });
        await page.mouse.up();
        await page.waitForFunction(old => document.querySelector(".window").textContent !== old, label);
        await page.getByRole("button", { name: "Reset" }).click();
        await page.waitForFunction(old => document.querySelector(".window").textContent === old, label);
        await canvas.focus();
        await page.keyboard.press("ArrowDown");
        await page.getByText("2 of ").waitFor();
    },
    async "a multi-frame instance has its frames on the slider"() {
        await page.goto(`${url}/#/studies`);
        await page.locator(".study", { hasText: "Smithers" }).locator(".row").click();
        await page.getByRole("link", { name: "Show images" }).click();
        await page.getByText("1 of 10").waitFor();
        await page.locator("canvas[data-drawn=yes]").waitFor();
        await page.locator("input[type=range]").fill("10");
        await page.getByText("10 of 10").waitFor();
        await page.getByRole("button", { name: "Play" }).click();
        await page.waitForFunction(() => /\b[2-9] of 10/.test(document.querySelector(".tools label").textContent));
        await page.getByRole("button", { name: "Stop" }).click();
    },
    ...imageSteps(world),
    async "a study goes to the trash and comes back"() {
        await page.goto(`${url}/#/studies`);
        await page.locator(".study", { hasText: "<script>" }).locator(".row").click();
        await page.getByRole("button", { name: /^Delete the study/ }).click();
        await page.getByRole("button", { name: "Yes, do it" }).click();
        await page.waitForFunction(() => !document.querySelector("main").textContent.includes("<script>"));
        await page.getByRole("link", { name: "System" }).click();
        await page.getByRole("button", { name: /^Restore/ }).click();
        await page.getByText("It is empty.").waitFor();
        await page.getByRole("button", { name: "Show the last lines" }).click();
        await page.locator(".log").getByText(/console.verb verb=study-delete by="console"/).waitFor();
        await page.getByText("There are none: nobody has to log in.").waitFor();
        await see("system");
        await page.getByRole("link", { name: "Studies" }).click();
        await page.getByText("<script>").waitFor();
    },
    ...machineSteps(world),
    ...placeSteps(world),
    ...checkSteps(world),
    ...troubleSteps(world),
    async "nothing is asked of anybody else"() {
        assert.deepEqual(elsewhere, []);
        assert.deepEqual(errors, []);
    },
}));
