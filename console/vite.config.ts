// How the console is built: one page, hashed file names, relative addresses, nothing from any network.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

const api = process.env["SERENO_API"] ?? "http://127.0.0.1:8090";

export default defineConfig({
  plugins: [svelte()],
  // Relative, so that the console also works behind a proxy that serves it under a path.
  base: "./",
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    // The worker and the map are one large file each, loaded only when a map is drawn.
    chunkSizeWarningLimit: 1200,
    rolldownOptions: {
      output: {
        entryFileNames: "assets/[name]-[hash].js",
        chunkFileNames: "assets/[name]-[hash].js",
        // `.mjs` is served as plain text by some proxies, and a worker then does not start.
        assetFileNames: (asset) =>
          asset.names.some((name) => name.endsWith(".mjs"))
            ? "assets/[name]-[hash].js"
            : "assets/[name]-[hash][extname]",
      },
    },
  },
  server: { proxy: { "/api": { target: api, changeOrigin: true } } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
