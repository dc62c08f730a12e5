// The other pages: nodes, now, emergency; studies that leave.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const placeSteps = ({ page, url, see, outside }) => ({
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
        await page.locator(".study", { hasText: "Müller" }).locator(".row").click();
        await page.getByRole("button", { name: /^Send the study/ }).click();
        const box = page.locator("dialog");
        await box.getByRole("combobox").selectOption("READER");
        await box.getByRole("button", { name: "Send", exact: true }).click();
        await box.getByText(/8 instances in 1 jobs/).waitFor();
        await box.getByRole("button", { name: "Close" }).click();
        await page.getByRole("link", { name: "Transfers" }).click();
        await page.locator(".job", { hasText: "READER" }).getByText("done", { exact: true }).waitFor();
    },
    async "a study is taken along as a ZIP file"() {
        await page.getByRole("link", { name: "Studies" }).click();
        await page.locator(".study", { hasText: "Müller" }).locator(".row").click();
        const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "ZIP" }).click()]);
        assert.match(download.suggestedFilename(), /^study-[\d.]+\.zip$/);
        const bytes = readFileSync(await download.path());
        assert.equal(bytes.subarray(0, 2).toString(), "PK");
        assert.ok(bytes.includes("DICOMDIR"));
    },
    async "what comes is told within a second, by whom and how much"() {
        await page.getByRole("link", { name: "Now" }).click();
        await page.locator(".alarms p").first().waitFor();
        await outside("store");
        await page.locator(".arrivals li", { hasText: "Arriving" }).getByText("1 from STORER").waitFor();
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
