/** The form of settings: what it shows at first, and what becomes of a change. */
import { byId, setText } from './dom.js';
import type { Settings } from './settings.js';

/** @param onChange is told whether x is another axis */
export function bindControls(settings: Settings, onChange: (axisChanged: boolean) => void): void {
  const smoothing = byId('smoothing', HTMLInputElement);
  const log = byId('log', HTMLInputElement);
  const theme = byId('theme', HTMLSelectElement);
  const shown = byId('smoothing-shown', HTMLElement);
  smoothing.value = String(settings.smoothing);
  setText(shown, smoothing.value);
  log.checked = settings.log;
  theme.value = settings.theme;
  smoothing.addEventListener('input', () => {
    settings.smoothing = Number(smoothing.value);
    setText(shown, smoothing.value);
    onChange(false);
  });
  log.addEventListener('change', () => {
    settings.log = log.checked;
    onChange(false);
  });
  theme.addEventListener('change', () => {
    settings.theme = theme.value === 'light' || theme.value === 'dark' ? theme.value : 'system';
    onChange(false);
  });
  for (const axis of ['step', 'epoch', 'time'] as const) {
    const radio = document.querySelector<HTMLInputElement>(`#controls input[name="x"][value="${axis}"]`);
    if (!radio) continue;
    radio.checked = settings.x === axis;
    radio.addEventListener('change', () => {
      settings.x = axis;
      onChange(true);
    });
  }
}
