/** What a reader has chosen, kept by the browser. */
import type { XAxis } from './state.js';

export interface Settings {
  x: XAxis;
  /** Weight of what came before, as TensorBoard has it, [0, 0.99]. */
  smoothing: number;
  log: boolean;
  theme: 'system' | 'light' | 'dark';
  /** Names of runs that are not drawn. */
  hidden: readonly string[];
}

const KEY = 'detco-watch';
const DEFAULTS: Settings = { x: 'step', smoothing: 0, log: false, theme: 'system', hidden: [] };

/** A browser may keep nothing for a page, or what another version wrote. */
export function loadSettings(): Settings {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Settings>;
    const entries = Object.entries(DEFAULTS).map(([name, value]) => {
      const found = kept[name as keyof Settings];
      return [name, typeof found === typeof value && Array.isArray(found) === Array.isArray(value) ? found : value];
    });
    return Object.fromEntries(entries) as Settings;
  } catch {
    return { ...DEFAULTS };
  }
}

export function saveSettings(settings: Settings): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // The choice holds until the page is closed.
  }
}

export function applyTheme({ theme }: Settings): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}
