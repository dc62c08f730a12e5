// A browser for the scripts beside: what it asks of others, errors of pages and dialogs are collected.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export async function browse(url, folder, executablePath) {
    const user = mkdtempSync(join(tmpdir(), "vitrine-browser-"));
    const context = await chromium.launchPersistentContext(user, {
        executablePath, headless: true, acceptDownloads: true, viewport: { width: 1200, height: 780 }, colorScheme: "light",
        args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-dev-shm-usage"],
    });
    context.setDefaultTimeout(60000);
    const page = context.pages()[0] || await context.newPage(), elsewhere = [], errors = [];
    page.on("request", request => { if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url())) elsewhere.push(request.url()); });
    page.on("pageerror", error => errors.push(String(error)));
    page.on("console", message => { if (/Content.Security.Policy/i.test(message.text())) errors.push(message.text()); });
    page.on("dialog", dialog => { errors.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
    const see = async name => {
        await page.evaluate(() => scrollTo(0, 0));
        await page.screenshot({ path: join(folder, `${name}.png`) });
    };
    // Each step fails with a sentence, the next one is tried all the same; the exit status of the process.
    async function steps(all) {
        let failed = 0;
        for (const [name, step] of Object.entries(all)) {
            const begun = performance.now();
            try {
                await step();
                console.log(`ok   ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
            } catch (error) {
                failed++;
                console.log(`FAIL ${name}: ${error.stack}`);
                await see(`failed-${failed}`).catch(() => {});
            }
        }
        await context.close();
        rmSync(user, { recursive: true, force: true });
        return failed ? 1 : 0;
    }
    return { page, elsewhere, errors, see, steps };
}
