// What breaks: a node that restarts, an archive that takes nothing. Pages show what they had, with its age, and come alive again.
import assert from "node:assert/strict";

const PLACES = { Now: "dl div", Workstations: ".machine", Nodes: ".peer", System: "dl" };   // studies are above

export const troubleSteps = ({ page, url, see, outside }) => ({
    async "a node that is away leaves the page as it was, with its age, and it comes alive again"() {
        await page.goto(`${url}/#/studies`);
        await page.getByRole("searchbox").fill("smith");
        await page.waitForFunction(() => document.querySelectorAll(".study").length === 2);
        await page.locator(".study .row").first().click();
        await page.locator(".series img").first().waitFor();
        await outside("node-away");
        await page.locator(".trouble", { hasText: /The node does not answer. What you see is \d+ seconds? old/ }).waitFor();
        assert.equal(await page.locator(".study").count(), 2, "the page is blank");
        assert.equal(await page.locator(".series > li").count(), 1, "what was open is closed");
        await see("node-away");
        await outside("node-back");
        await page.locator(".trouble").waitFor({ state: "detached" });
        assert.equal(await page.getByRole("searchbox").inputValue(), "smith");
        await page.getByRole("searchbox").fill("");
        await page.locator(".study").nth(5).waitFor();
    },
    async "each page keeps what it showed while the node restarts"() {
        for (const [name, row] of Object.entries(PLACES)) {
            await page.getByRole("link", { name, exact: true }).click();
            await page.locator(row).first().waitFor();
            const before = await page.locator(row).count();
            await outside("node-away");
            await page.locator(".trouble").waitFor();
            assert.ok(await page.locator(row).count() >= Math.min(before, 1), `${name} is blank`);
            await outside("node-back");
            await page.locator(".trouble").waitFor({ state: "detached" });
            await page.locator(row).first().waitFor();
        }
    },
    async "an archive that takes nothing is told on every page, and what it has is shown"() {
        await page.goto(`${url}/#/now`);
        await outside("break-disk");
        if (await page.evaluate(async () => (await (await fetch("/api/status")).json()).rows[0].writable)) {
            console.log("     the disk could not be broken here");
            return;
        }
        for (const place of ["studies", "workstations", "now"]) {
            await page.goto(`${url}/#/${place}`);
            await page.locator(".trouble", { hasText: "The archive is read-only: nothing new is stored." }).waitFor();
        }
        await see("read-only");
        await page.goto(`${url}/#/studies`);
        await page.locator(".study", { hasText: "Smithers" }).locator(".row").click();
        await page.getByRole("button", { name: /^Delete the study/ }).click();
        await page.getByRole("button", { name: "Yes, do it" }).click();
        await page.locator(".below .problem").waitFor();
        await page.getByRole("link", { name: "Show images" }).click();
        await page.locator("canvas[data-drawn=yes]").waitFor();
        await outside("mend-disk");
    },
});
