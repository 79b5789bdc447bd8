/** Draws the README's picture of the page, `images/web.png`; or, with a folder, several. */
import { join } from "node:path";
import { exampleClips, joined, temporaryFolder } from "./clips.js";
import { PROJECT } from "./python.js";
import { openSite, Visit } from "./site.js";

const DESKTOP = { viewport: { width: 1120, height: 860 } };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 };

const [target] = process.argv.slice(2);
const [site, folder] = [await openSite(), await temporaryFolder()];
const clips = await exampleClips();
const talk = join(folder.path, "seven_clips.wav");
await joined(clips, talk, { pauseS: 0.4 });

/** The whole page, or what lies above the end of the timeline. */
async function draw(path, options, isWhole) {
  const visit = await Visit.start(site, options);
  await visit.hear(talk);
  const { width } = await visit.page.locator("#track").boundingBox();
  await visit.page.click("#track", { position: { x: 0.36 * width, y: 40 } });
  await visit.page.mouse.move(0, 0);
  await visit.page.evaluate(() => document.activeElement.blur());
  await visit.page.waitForTimeout(300);
  const { y, height } = await visit.page.locator("#timeline").boundingBox();
  const clip = { x: 0, y: 0, width: options.viewport.width, height: Math.ceil(y + height + 24) };
  await visit.page.screenshot({ path, fullPage: true, ...(isWhole ? {} : { clip }) });
  await visit.close();
  console.log(path);
}

if (target) {
  await draw(join(target, "desktop.png"), { ...DESKTOP, colorScheme: "light" }, true);
  await draw(join(target, "desktop-dark.png"), { ...DESKTOP, colorScheme: "dark" }, true);
  await draw(join(target, "phone.png"), { ...PHONE, colorScheme: "light" }, true);
  await draw(join(target, "phone-dark.png"), { ...PHONE, colorScheme: "dark" }, true);
} else {
  await draw(join(PROJECT, "images", "web.png"), { ...DESKTOP, colorScheme: "light" }, false);
}
await site.close();
await folder.remove();
