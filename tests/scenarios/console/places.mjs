// The other pages: nodes, now, emergency; studies that leave.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const placeSteps = ({ page, url, folder, see, outside }) => ({
    async "a node is asked whether it answers, and why not"() {
        await page.getByRole("link", { name: "Nodes" }).click();
        await page.locator(".peer").nth(1).waitFor();
        await page.getByRole("button", { name: "Echo READER" }).click();
        await page.getByText(/answered in [\d.]+ ms/).waitFor();
        await page.getByRole("button", { name: "Explain READER" }).click();
        await page.getByText("Of what we asked for, it takes:").waitFor();
        await page.getByRole("button", { name: "Explain GONE" }).click();
        await page.getByText("It does not answer us now").waitFor();
        await page.getByText("Remedy:").waitFor();
        await see("nodes");
    },
    async "a study is sent to a node, and Transfers shows it"() {
        await page.goto(`${url}/#/studies`);
        await page.locator(".study", { hasText: "Müller, Jörg" }).locator(".row").click();
        await page.getByRole("button", { name: /^Send the study/ }).click();
        const box = page.locator("dialog");
        await box.getByRole("combobox").selectOption("READER");
        await box.getByRole("button", { name: "Send", exact: true }).click();
        await box.getByText(/8 instances in 1 jobs/).waitFor();
        await box.getByRole("button", { name: "Close" }).click();
        await page.getByRole("link", { name: "Transfers" }).click();
        await page.locator(".job", { hasText: "READER" }).getByText("done", { exact: true }).waitFor();
    },
    async "a transfer to a node that is away is paused, resumed, cancelled and tried again"() {
        await page.getByRole("link", { name: "Studies" }).click();
        await page.locator(".study", { hasText: "Müller, Jörg" }).locator(".row").click();
        await page.getByRole("button", { name: /^Send CT/ }).click();
        const box = page.locator("dialog");
        await box.getByRole("combobox").selectOption("GONE");
        await box.getByRole("button", { name: "Send", exact: true }).click();
        await box.getByText(/8 instances in 1 jobs/).waitFor();
        await box.getByRole("link", { name: "Transfers" }).click();
        const job = page.locator(".job", { hasText: "send GONE" });
        await job.getByText(/refused|does not answer|cannot be reached|Connection/i).first().waitFor();
        for (const [verb, state] of [["Pause", "paused"], ["Resume", "waiting"], ["Cancel", "cancelled"], ["Try again", "waiting"], ["Cancel", "cancelled"]]) {
            await job.getByRole("button", { name: verb }).click();
            if (verb === "Cancel")
                await page.getByRole("button", { name: "Yes, do it" }).click();
            await page.locator(`.job[data-state=${state}]`, { hasText: "send GONE" }).or(page.locator(".job[data-state=running]", { hasText: "send GONE" })).first().waitFor();
        }
    },
    async "a study is taken along as a ZIP file"() {
        await page.getByRole("link", { name: "Studies" }).click();
        await page.locator(".study", { hasText: "Müller, Jörg" }).locator(".row").click();
        const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: /the study of .* as ZIP/ }).click()]);
        assert.match(download.suggestedFilename(), /^study-[\d.]+\.zip$/);
        const bytes = readFileSync(await download.path());
        assert.equal(bytes.subarray(0, 2).toString(), "PK");
        assert.ok(bytes.includes("DICOMDIR"));
    },
    async "a series is exported as a job, fetched from Transfers, and told by the log"() {
        await page.getByRole("link", { name: "Nodes" }).click();
        await page.getByRole("link", { name: "Studies" }).click();
        await page.locator(".study", { hasText: "Müller, Jörg" }).locator(".row").click();
        await page.getByRole("button", { name: /^Export CT/ }).click();
        const box = page.locator("dialog");
        await box.getByLabel("Without the patient's identity").check();
        await box.getByRole("button", { name: "Export", exact: true }).click();
        await box.getByText("It is being made").waitFor();
        await box.getByRole("link", { name: "Transfers" }).click();
        const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: /^Download .*\.zip/ }).click()]);
        const bytes = readFileSync(await download.path());
        assert.equal(bytes.subarray(0, 2).toString(), "PK");
        assert.ok(bytes.includes("DICOMDIR") && !bytes.includes("PAT1"), "the patient is still in it");
        await see("transfers");
    },
    async "a disc image is made, and a job that is over can be tried again only when it failed"() {
        const answers = await page.evaluate(async () => {
            const study = (await (await fetch("/dicom-web/studies?PatientID=PAT3")).json())[0]["0020000D"].Value[0];
            const ask = async (body, path = `/api/studies/${study}/export`) => (await fetch(path, { method: "POST", body: JSON.stringify(body) })).status;
            return [await ask({ as: "iso" }), await ask({ as: "folder" }), await ask({ as: "exe" }), await ask({}), await ask({ as: "burner:NOBODY" }),
                await ask({ as: "zip" }, "/api/studies/../export"), (await fetch("/api/exports/..%2fstate.db")).status, (await fetch("/api/exports/.hidden")).status];
        });
        assert.equal(answers[0], 200);
        assert.ok(answers.slice(1).every(status => status >= 400 && status < 500), answers.join());
        await page.waitForFunction(async () => (await (await fetch("/api/exports")).json()).rows.some(row => row.name.endsWith(".iso")));
    },
    async "what comes is told within a second, by whom and how much"() {
        await page.getByRole("link", { name: "Now" }).click();
        await page.locator(".alarms p").first().waitFor();
        await page.evaluate(() => new MutationObserver(() => {
            if (!window.seenAt && document.querySelector("main").textContent.includes("STORER"))
                window.seenAt = Date.now();
        }).observe(document.body, { subtree: true, childList: true, characterData: true }));
        await outside("store");
        await page.locator(".arrivals li", { hasText: "Arriving" }).getByText("from STORER").waitFor();
        const late = await page.evaluate(() => window.seenAt) - Number(readFileSync(join(folder, "stored"), "utf8"));
        console.log(`     on the page ${Math.round(late)} ms after the modality had its answer`);
        assert.ok(late < 10000, `${late} ms`);   // it is a quarter of a second on a machine that does nothing else
        await see("now");
    },
    async "the members and the steps of an emergency are there before one"() {
        await page.getByRole("link", { name: "Emergency" }).click();
        await page.getByText("A master answers: there is no emergency.").waitFor();
        await page.getByText("vitrine pool emergency promote HOST").waitFor();
        await page.getByRole("button", { name: "Ask each member now" }).click();
        await page.locator(".facts-list li", { hasText: "master" }).first().waitFor();
        await see("emergency");
    },
});
