// What .ci/report runs, from a folder that has its packages.
import chromium from "@sparticuz/chromium";
import { readFileSync } from "fs";
import { chromium as browsers } from "playwright-core";

const axe = readFileSync("node_modules/axe-core/axe.min.js", "utf8");
const sizes = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };
const browser = await browsers.launch({ executablePath: await chromium.executablePath(), args: ["--no-sandbox"] });
let failed = false;
for (const [index, file] of process.argv.slice(2).entries())
  for (const colorScheme of ["light", "dark"])
    for (const [name, viewport] of Object.entries(sizes)) {
      const page = await browser.newPage({ viewport, colorScheme, bypassCSP: true });
      await page.goto("file://" + file);
      await page.screenshot({ path: `${index}-${name}-${colorScheme}.png` });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run());
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      console.log(`${file}, ${name}, ${colorScheme}: ${violations.length} findings, ${Math.max(wider, 0)} px too wide`);
      for (const { impact, id, help, nodes } of violations)
        console.log(`  ${impact} ${id}: ${help}; ${nodes.length} times, ${nodes[0].html.slice(0, 100)}`);
      failed ||= wider > 0 || violations.some(({ impact }) => ["serious", "critical"].includes(impact));
      await page.close();
    }
await browser.close();
process.exit(failed ? 1 : 0);
