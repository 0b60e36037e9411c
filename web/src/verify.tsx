/** Starts the page that checks receipts: no log-in, and nothing of the rest of the page. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { VerifyPage } from './pages/verify.js';
import './styles/tokens.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/panels.css';
import './styles/verify.css';

const root = document.getElementById('page');
if (!root) throw new Error('verify.html has no element #page');
createRoot(root).render(
  <StrictMode>
    <VerifyPage />
  </StrictMode>,
);
