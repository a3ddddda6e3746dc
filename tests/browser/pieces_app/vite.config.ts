import { defineConfig } from "vite";

export default defineConfig({ base: "./", logLevel: "warn", build: { emptyOutDir: false, chunkSizeWarningLimit: 4000 } });
