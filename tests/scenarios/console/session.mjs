// Logins in a browser: node session.mjs URL FOLDER CHROMIUM IDLE-SECONDS. There are anna (admin) and vera (viewer); a session ends without use.
import assert from "node:assert/strict";
import { browse } from "./browse.mjs";
import { isAccessible } from "./checks.mjs";

const [url, folder, executablePath, idle] = process.argv.slice(2);
const { page, elsewhere, errors, see, steps } = await browse(url, folder, executablePath);
const PASSWORD = "correct horse";

async function enter(box, user) {
    await box.getByLabel("User").fill(user);
    await box.getByLabel("Password").fill(PASSWORD);
    await box.getByRole("button", { name: "Log in" }).click();
}

// On a slow machine a step may take longer than the session lasts: something is asked by a person, as the node sees it.
const stay = () => page.evaluate(() => { setInterval(() => fetch("/api/me"), 500); });

process.exit(await steps({
    async "nothing is shown before the login, and a wrong password is told"() {
        await page.goto(url);
        const form = page.locator("form.login");
        await form.waitFor();
        await isAccessible(page, "the login");
        assert.equal(await page.locator("nav").count(), 0);
        await form.getByLabel("User").fill("anna");
        await form.getByLabel("Password").fill("wrong horse");
        await form.getByRole("button", { name: "Log in" }).click();
        await page.getByText("The name or the password is wrong.").waitFor();
        await enter(form, "anna");
        await page.getByText("anna (admin)").waitFor();
    },
    async "a session that ended asks for the login above the page, and the page stays where it was"() {
        await page.getByRole("searchbox").fill("smithers");
        await page.waitForFunction(() => document.querySelectorAll(".study").length === 1);
        await page.locator(".study .row").click();
        await page.locator(".series img").first().waitFor();
        const box = page.locator("dialog[aria-label='Log in again']");
        await box.waitFor();   // nobody touches anything: it takes the idle time
        assert.equal(await page.evaluate(async () => (await fetch("/api/jobs")).status), 401);
        await see("login-again");
        assert.equal(await page.getByRole("searchbox").inputValue(), "smithers");
        assert.equal(await page.locator(".series > li").count(), 1);
        await isAccessible(page, "the login above a page");
        await enter(box, "anna");
        await box.waitFor({ state: "detached" });
        assert.equal(await page.getByRole("searchbox").inputValue(), "smithers");
        await page.locator(".study").waitFor();
        assert.equal(await page.locator(".series > li").count(), 1);
    },
    async "whoever does something stays logged in for longer"() {
        const end = Date.now() + 1500 * idle;
        for (let i = 0; Date.now() < end; i++) {
            await page.getByRole("searchbox").fill(i % 2 ? "smith" : "smithers");
            await page.waitForTimeout(500);
        }
        assert.equal(await page.locator("dialog[aria-label='Log in again']").count(), 0);
        assert.equal(await page.evaluate(async () => (await fetch("/api/jobs")).status), 200);
    },
    async "users are made, changed and removed on the page, and the last admin stays"() {
        await stay();
        await page.goto(`${url}/#/system`);
        const form = page.getByRole("form", { name: "A new user" });
        await form.getByLabel("Name of the new user").fill("night.shift");
        await form.getByLabel("Password of the new user").fill(PASSWORD);
        await form.getByRole("button", { name: "Add" }).click();
        const row = page.locator("li", { hasText: "night.shift" });
        await row.getByLabel("Role of night.shift").selectOption("operator");
        await page.waitForFunction(async () => (await (await fetch("/api/users")).json()).rows.some(user => user.name === "night.shift" && user.role === "operator"));
        await row.getByRole("button", { name: "New password of night.shift" }).click();
        await page.locator("dialog").getByLabel("Password").fill("battery staple");
        await page.locator("dialog").getByRole("button", { name: "Change" }).click();
        await page.locator("dialog").waitFor({ state: "detached" });
        await see("users");
        await row.getByRole("button", { name: "Remove night.shift" }).click();
        await page.getByRole("button", { name: "Yes, do it" }).click();
        await row.waitFor({ state: "detached" });
        await page.getByRole("button", { name: "Remove anna" }).click();
        await page.getByRole("button", { name: "Yes, do it" }).click();
        await page.getByText("anna is the last admin: make another one first").waitFor();
    },
    async "a viewer sees no verb that the node would refuse"() {
        await page.getByRole("button", { name: "Log out" }).click();
        await enter(page.locator("form.login"), "vera");
        await page.getByText("vera (viewer)").waitFor();
        await stay();
        const never = /^(Suspend|Shut down|Restart|Start|Resume|Unpause|Screen|Choose|Send|Export|Delete|Echo|Explain|Pause|Cancel|Try again|Remove|Restore|Take one now|Revert|Ask each member|Watch it|Add)\b/;
        const ready = { now: "dl", studies: ".study", workstations: ".machine", monitor: "button.lane", transfers: ".count", nodes: ".count", emergency: ".members li", system: "dl" };
        for (const [path, seen] of Object.entries(ready)) {
            await page.goto(`${url}/#/${path}`);
            await page.locator(seen).first().waitFor();
            if (path === "studies")
                await page.locator(".study .row").first().click().then(() => page.locator(".series > li").first().waitFor());
            if (path === "monitor")
                await page.locator("button.lane").first().click();
            const names = await page.evaluate(() => [...document.querySelectorAll("main button, main input[type=checkbox], dialog button")].map(one => one.getAttribute("aria-label") || one.textContent.trim()));
            assert.deepEqual(names.filter(name => never.test(name)), [], path);
            await page.keyboard.press("Escape");
        }
    },
    async "nothing is asked of anybody else"() {
        assert.deepEqual(elsewhere, []);
        assert.deepEqual(errors, []);
    },
}));
