// What every page owes to keyboards, screen readers, weak eyes and phones, looked at in the page itself.
import assert from "node:assert/strict";

// In the page: controls without a name, pictures without words, headings, text that is too pale for its ground.
function look() {
    const found = [], shown = element => element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && element.getClientRects().length > 0;
    const textOf = element => (element.textContent || "").trim();
    const nameOf = element => element.getAttribute("aria-label") || (element.labels && [...element.labels].map(textOf).join(" ").trim()) ||
        element.getAttribute("title") || textOf(element) || [...element.querySelectorAll("img")].map(image => image.alt).join("");
    const tell = (what, element) => found.push(`${what}: ${element.outerHTML.slice(0, 140)}`);
    for (const element of document.querySelectorAll("button, a[href], input, select, textarea, summary, [role=button], [tabindex='0'], dialog, nav, form[role=search] input"))
        if (shown(element) && !nameOf(element))
            tell("no name", element);
    for (const element of document.querySelectorAll("img, svg, canvas, meter, progress"))
        if (shown(element) && !element.closest("[aria-hidden=true], .vm-screen, .field, .overview") && !(element.tagName === "IMG" ? element.hasAttribute("alt") : element.getAttribute("aria-label")))
            tell("no words", element);
    if (!document.documentElement.lang)
        found.push("the page has no language");
    if (document.querySelectorAll("main").length !== 1)
        found.push("there is not one main");
    if (document.querySelectorAll("h1").length !== 1)
        found.push(`${document.querySelectorAll("h1").length} headings of the page`);
    const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
    if (new Set(ids).size !== ids.length)
        found.push("an id is there twice");

    for (const row of document.querySelectorAll(".long [role=listitem]"))
        if (row.scrollHeight > row.clientHeight + 1)
            tell(`cut off, ${row.scrollHeight} of ${row.clientHeight}`, row);

    // ---- contrast (WCAG 2: 4.5, large text 3) ----
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = colour => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, ground) => [0, 1, 2].map(i => top[i] * top[3] + ground[i] * (1 - top[3])).concat(1);
    function groundOf(element) {
        const layers = [];
        for (let at = element; at; at = at.parentElement) {
            const colour = rgba(getComputedStyle(at).backgroundColor);
            layers.push(colour);
            if (colour[3] === 1)
                break;
        }
        return layers.reverse().reduce((ground, layer) => over(layer, ground), [255, 255, 255, 1]);
    }
    const light = ([r, g, b]) => [r, g, b].map(value => value / 255).map(value => value <= .03928 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4)
        .reduce((sum, value, i) => sum + value * [.2126, .7152, .0722][i], 0);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const element = node.parentElement;
        if (!node.textContent.trim() || !shown(element) || element.closest("option, script, noscript, :disabled, .vm-screen, .skip"))
            continue;
        const style = getComputedStyle(element), ground = groundOf(element), colour = over(rgba(style.color), ground);
        const [a, b] = [light(colour), light(ground)].sort((x, y) => y - x), ratio = (a + .05) / (b + .05);
        const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && Number(style.fontWeight) >= 700);
        if (ratio < (large ? 3 : 4.5))
            tell(`contrast ${ratio.toFixed(2)} of "${node.textContent.trim().slice(0, 30)}"`, element);
    }
    return [...new Set(found)];
}

export async function isAccessible(page, what) {
    const found = await page.evaluate(look);
    assert.deepEqual(found, [], `${what}:\n${found.join("\n")}`);
}

// The tabulator goes from control to control, and one sees where it is.
export async function isWalkedByKeys(page, what, steps = 12) {
    await page.evaluate(() => { document.querySelector(".skip").focus(); scrollTo(0, 0); });
    const seen = new Set();
    for (let i = 0; i < steps; i++) {
        await page.keyboard.press("Tab");
        const at = await page.evaluate(() => {
            const element = document.activeElement, style = getComputedStyle(element);
            return { is: element === document.body ? "" : element.outerHTML.slice(0, 120), outline: style.outlineStyle, width: parseFloat(style.outlineWidth) };
        });
        if (!at.is)
            break;
        assert.ok(at.outline !== "none" && at.width >= 1, `${what}: one does not see that this has the focus: ${at.is}`);
        seen.add(at.is);
    }
    assert.ok(seen.size >= Math.min(steps, 9), `${what}: only ${seen.size} places are reached by the tabulator`);
}

export async function fitsAPhone(page, what) {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth ? [] :
        [...document.querySelectorAll("main *, header *")].filter(element => element.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map(element => element.outerHTML.slice(0, 120)));
    assert.deepEqual(wide, [], `${what} is wider than a phone`);
}

const PLACES = { Now: ".arrivals li", Studies: ".study", Workstations: ".machine", "Network monitor": "button.lane", Transfers: ".job", Nodes: ".peer", Emergency: ".steps li", System: "dl" };

// Every page: light and dark, wide and as a phone; odd names are text.
export const checkSteps = ({ page, url, see, odd }) => ({
    async "every page can be used without eyes or mouse, in light and dark, on a phone"() {
        const visit = async (path, ready, what) => {
            await page.goto(`${url}/#/${path}`);
            await page.locator(ready).first().waitFor();
            if (path === "studies")
                await page.locator(".study .row").first().click().then(() => page.locator(".series img").first().waitFor());
            await isAccessible(page, what);
        };
        const study = await page.evaluate(async () => (await (await fetch("/dicom-web/studies?AccessionNumber=VT1001")).json())[0]["0020000D"].Value[0]);
        const all = [...Object.entries(PLACES).map(([name, ready]) => [name === "Network monitor" ? "monitor" : name.toLowerCase(), ready, name]), [`view/${study}`, "canvas[data-drawn=yes]", "the viewer"]];
        for (const [colorScheme, width] of [["light", 1200], ["dark", 1200], ["light", 390], ["dark", 390]]) {
            await page.emulateMedia({ colorScheme });
            await page.setViewportSize({ width, height: 780 });
            for (const [path, ready, name] of all) {
                const what = `${name}, ${colorScheme}, ${width} wide`;
                await visit(path, ready, what);
                if (width === 390)
                    await fitsAPhone(page, what);
                else if (colorScheme === "light")
                    await isWalkedByKeys(page, what);
                if (width === 390 && colorScheme === "dark" && (path === "studies" || path === "workstations"))
                    await see(path === "studies" ? "phone" : "phone-machines");
                if (width === 1200 && colorScheme === "dark" && path.startsWith("view/"))
                    await see("dark");
            }
        }
        await page.emulateMedia({ colorScheme: "light" });
        await page.setViewportSize({ width: 1200, height: 780 });
    },
    async "names that look like markup are text wherever they show"() {
        const isText = async words => {
            await page.locator("main, dialog").getByText(words).first().waitFor();
            assert.equal(await page.evaluate(() => document.querySelectorAll("main script, dialog script, main img[src='x'], dialog img[src='x']").length), 0);
        };
        const named = { studies: "<script>alert(1)</script>", now: "<script>alert(1)</script>", workstations: odd, monitor: odd, system: null, transfers: null };
        for (const [path, words] of Object.entries(named)) {
            await page.goto(`${url}/#/${path}`);
            if (words)
                await isText(words);
        }
        await page.goto(`${url}/#/studies`);
        await page.locator(".study", { hasText: "<script>" }).locator(".row").click();
        await isText("<img src=x onerror=alert(2)>");
        await page.getByRole("button", { name: /^Send the study of <script>/ }).click();
        await isText("Send the study of <script>alert(1)</script>");
        await page.locator("dialog").getByRole("button", { name: "Cancel" }).click();
        await page.getByRole("link", { name: "Show images" }).click();
        await page.locator("h1", { hasText: "<script>alert(1)</script>" }).waitFor();
        await isText("<img src=x onerror=alert(2)>");
        await page.goto(`${url}/#/workstations`);
        await page.getByRole("searchbox").fill("onerror");
        await page.getByRole("button", { name: /^Snapshots/ }).click();
        await page.locator("dialog h2", { hasText: odd }).waitFor();
        await page.getByRole("button", { name: "Close" }).click();
        await page.goto(`${url}/#/monitor`);
        await page.getByRole("searchbox").fill("onerror");
        await page.locator("button.lane", { hasText: odd }).click();
        await page.locator("dialog h2", { hasText: odd }).waitFor();
        await page.getByRole("button", { name: "Close" }).click();
    },
});
