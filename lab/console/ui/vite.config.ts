import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "/",
  // emptyOutDir: all files in ui/dist are embedded in the binary; public/.gitkeep restores the placeholder.
  build: { assetsDir: "assets", emptyOutDir: true, modulePreload: { polyfill: false } },
  // contrast.test.ts reads the style sheet. The timeout only ends what hangs.
  test: { css: true, testTimeout: 60_000 },
});
