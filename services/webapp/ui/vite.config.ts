import { defineConfig } from "vitest/config";

export default defineConfig({
  // Absolute asset paths: the page is the same under /, /experimental and /vehicle/NAME.
  base: "/",
  // The Go server recognizes hashed files by the folder "assets" and lets browsers cache them for ever.
  // emptyOutDir: all files in ui/dist are embedded in the binary; public/.gitkeep restores the placeholder.
  build: { assetsDir: "assets", emptyOutDir: true, modulePreload: { polyfill: false } },
  // contrast.test.ts reads the style sheet. The timeout only ends what hangs.
  test: { css: true, testTimeout: 60_000 },
  server: { proxy: { "/api": { target: "http://localhost:8080", rewrite: (path) => path.slice("/api".length) } } },
});
