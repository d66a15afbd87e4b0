// Takes the README's picture of the playground: the demonstration's portrait, checked by a running service.
//
//   npm ci --prefix web/test && scripts/with-service node web/test/readme-pictures.mjs docs/images/playground.webp
//
// Needs cwebp (Debian's package webp) beside Chromium.
import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';

const [out] = process.argv.slice(2);
const { FACEGATE_URL, FACEGATE_USER, FACEGATE_PASSWORD, FACEGATE_PICTURE } = process.env;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});
const page = await browser.newPage({
  viewport: { width: 1280, height: 940 },
  deviceScaleFactor: 1.25,
  reducedMotion: 'reduce',
});
await page.goto(FACEGATE_URL);
await page.click('#account');
await page.fill('#user', FACEGATE_USER);
await page.fill('#password', FACEGATE_PASSWORD);
await page.press('#password', 'Enter');
await page.waitForSelector('#login', { state: 'hidden' });
await page.setInputFiles('#file', FACEGATE_PICTURE);
await page.waitForSelector('#verdict[data-state="good"]');
await page.click('[data-layer="zoom"]');
await page.evaluate(() => document.activeElement.blur());
await page.waitForTimeout(500);
const picture = await page.screenshot();
await browser.close();
execFileSync('cwebp', ['-quiet', '-q', '82', '-o', out, '--', '-'], { input: picture });
