/** Starts the page. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.js';
import 'uplot/dist/uPlot.min.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/panels.css';

const root = document.getElementById('page');
if (!root) throw new Error('index.html has no element #page');
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
