import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/**
 * Builds the page into web/dist, which the service serves. Nothing is inlined as a data: URL or a
 * script element, so that the page runs under a Content-Security-Policy of 'self' alone.
 */
const service = process.env['NEIGHBORWATT_SERVICE'] ?? 'http://localhost:3000';

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The check of receipts is a page of its own: it needs no log-in and nothing of the rest.
    rollupOptions: { input: ['web/index.html', 'web/verify.html'] },
    target: 'es2022',
  },
  server: {
    proxy: {
      '/v1': service,
      '/log': service,
      '/socket.io': { target: service, ws: true },
    },
  },
});
