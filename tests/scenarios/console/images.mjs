// The viewers: measuring in millimetres, presets of the window, the deep zoom of a slide.
import assert from "node:assert/strict";

export const imageSteps = ({ page, url, see }) => ({
    async "a line is measured in millimetres, down and across by their own spacing"() {
        await page.goto(`${url}/#/studies`);
        await page.locator(".study", { hasText: "Distance" }).locator(".row").click();
        await page.getByRole("link", { name: "Show images" }).click();
        const canvas = page.locator("canvas[data-drawn=yes]");
        await canvas.waitFor();
        await page.getByRole("button", { name: "Measure" }).click();
        const box = await canvas.boundingBox(), fit = Math.min(box.width, box.height) / 64;
        const line = async (across, down) => {
            const x = box.x + box.width / 2, y = box.y + box.height / 2;
            await page.mouse.move(x, y);
            await page.mouse.down();
            await page.mouse.move(x + across * fit, y + down * fit, { steps: 4 });
            await page.mouse.up();
            return parseFloat(await page.locator(".length").textContent());
        };
        // 0.5 mm down, 0.25 mm across
        assert.ok(Math.abs(await line(20, 0) - 5) < 0.15);
        assert.ok(Math.abs(await line(0, 20) - 10) < 0.15);
        assert.ok(Math.abs(await line(16, -6) - 5) < 0.15);
        await page.getByRole("button", { name: "Reset" }).click();
        assert.equal(await page.locator(".length").textContent(), "");
    },
    async "windows of the instance and usual ones of CT are offered"() {
        const choice = page.getByLabel("Window", { exact: true });
        assert.deepEqual((await choice.locator("option").allTextContents()).slice(1, 4), ["Soft (40 / 400)", "Wide (300 / 1500)", "Abdomen (40 / 400)"]);
        await choice.selectOption({ label: "Wide (300 / 1500)" });
        await page.getByText("Window 300 / 1500").waitFor();
    },
    async "a chest is measured across and down"() {
        await page.goto(`${url}/#/studies`);
        await page.locator(".study", { hasText: "Müller, Anna" }).locator(".row").click();
        await page.getByRole("link", { name: "Show images" }).click();
        await page.getByText("1 of 24").waitFor();
        await page.locator("input[type=range]").fill("12");
        await page.getByText("12 of 24").waitFor();
        await page.getByRole("button", { name: "Measure" }).click();
        const box = await page.locator("canvas[data-drawn=yes]").boundingBox();
        for (const [x1, y1, x2, y2] of [[.272, .48, .728, .48], [.42, .2, .42, .82]]) {
            await page.mouse.move(box.x + box.width * x1, box.y + box.height * y1);
            await page.mouse.down();
            await page.mouse.move(box.x + box.width * x2, box.y + box.height * y2, { steps: 4 });
            await page.mouse.up();
        }
        assert.match(await page.locator(".length").textContent(), /^\d{3}\.\d mm$/);
        await page.waitForTimeout(300);
        await see("viewer");
    },
    async "a slide is zoomed from the whole to single tiles"() {
        const natively = [], drawn = [];
        const count = answer => {
            if (answer.ok() && /\/frames\/\d+$/.test(answer.url()) && answer.headers()["content-type"].startsWith("image/jpeg"))
                natively.push(answer.url());
            if (/\/frames\/\d+\/rendered$/.test(answer.url()))
                drawn.push(answer.url());
        };
        page.on("response", count);
        await page.goto(`${url}/#/studies`);
        await page.getByLabel("Modality").selectOption("SM");
        await page.waitForFunction(() => document.querySelectorAll(".study").length === 1);
        await page.locator(".study .row").click();
        await page.getByRole("link", { name: "Show images" }).click();
        await page.waitForFunction(() => Number(document.querySelector(".field")?.dataset.tiles) > 0);
        await page.waitForFunction(() => /[µm]m$/.test(document.querySelector(".scalebar")?.textContent || ""));
        const label = page.getByAltText("Label");
        await label.waitFor();
        await page.waitForFunction(() => [...document.querySelectorAll("figure img")].every(image => image.naturalWidth > 0));
        const before = await page.locator(".scalebar").textContent();
        await page.getByRole("button", { name: "20×" }).click();
        await page.waitForFunction(() => /^(19|20|21)\.\d×$/.test(document.querySelector(".magnification").textContent));
        await page.waitForFunction(old => document.querySelector(".scalebar").textContent !== old, before);
        assert.ok(natively.length > 4, "tiles do not come as they are stored");
        assert.ok(new Set(drawn).size <= 1, "more than the thumbnail was drawn by the node");
        await page.waitForFunction(least => {
            const c = document.querySelector(".openseadragon-canvas canvas"), seen = new Set();
            const data = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
            for (let i = 0; i < data.length; i += 4 * 97)
                seen.add(data[i] >> 4 << 8 | data[i + 1] >> 4 << 4 | data[i + 2] >> 4);
            return seen.size > least;
        }, 3);
        const [red, green, blue] = await page.evaluate(() => {
            const c = document.querySelector(".openseadragon-canvas canvas");
            return [...c.getContext("2d").getImageData(c.width * .2, c.height * .8, 1, 1).data];
        });
        assert.ok(Math.abs(red - 236) + Math.abs(green - 222) + Math.abs(blue - 232) < 24, `the ground is ${red},${green},${blue}: colours are wrong`);
        await see("slide");
        await page.locator(".openseadragon-canvas").first().focus();
        await page.keyboard.press("0");
        await page.waitForFunction(old => document.querySelector(".scalebar").textContent === old, before);
        page.off("response", count);
    },
});
