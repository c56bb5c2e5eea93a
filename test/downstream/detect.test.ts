/** downstream/detect.py and subset.py on toy sets, with weights of a run, and each command of docs/downstream.md that needs no more. */
import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { detco, job, type Outcome, type Send } from '../cli/detco.js';
import { wherePythonHas } from '../support/python.js';
import { BOX, makeCoco, makeVoc } from './toy-sets.js';

const RUN = 'fixtures/runs/detco-0.1'; // a ResNet-18 of width 2
const KEYS = 120;
const DETECT = 'downstream/detect.py';
const SMALL = ['--backbone', 'resnet18', '--batch', '2', '--iterations', '2', '--workers', '0', '--device', 'cpu', '--json'];

interface Results {
  readonly AP: number;
  readonly AP50: number;
  readonly AP75: number;
  readonly detections: number;
  readonly backboneKeys: number;
}

/** A machine that is busy elsewhere takes minutes to load torch, again and again. */
const PATIENT_MS = 600_000;

const torch = wherePythonHas('torch');
const python = wherePythonHas('torch', 'torchvision', 'pycocotools.cocoeval');

let folder = '';
const at = (name: string): string => join(folder, name);

async function succeed(outcome: Promise<Outcome>): Promise<void> {
  expect(await outcome).toMatchObject({ code: 0 });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-detect-'));
  if (python.note !== '') return;
  await Promise.all([
    makeVoc(at('VOCdevkit')),
    makeCoco(at('coco')),
    succeed(detco(['synth', '--out', at('toy'), '--count', '8', '--size', '64x64'])),
    succeed(detco(['export', '--checkpoint', RUN, '--out', at('r18.pth')])),
    succeed(detco(['export', '--checkpoint', RUN, '--format', 'moco', '--out', at('moco.pth.tar')])),
  ]);
  await succeed(detco(['synth', '--out', at('toy'), '--count', '4', '--size', '64x64', '--prefix', 'val', '--seed', '1']));
}, PATIENT_MS);
afterAll(() => rm(folder, { recursive: true }));

torch.test(
  `a checkpoint that is damaged, or another's, ends in one line that names it${torch.note}`,
  async () => {
    const { good, ...bad } = await torch.run<Record<string, string | number>>('test/downstream/bad_progress.py');
    expect(good).toBe(3);
    expect(Object.keys(bad)).toHaveLength(16);
    for (const [name, answer] of Object.entries(bad))
      expect([name, answer]).toEqual([name, '--checkpoint PATH: expected what detect.py wrote there; name another file']);
  },
  PATIENT_MS,
);

wherePythonHas('torch', 'torchvision').test('without pycocotools --help works, and a run says at once what to install', async () => {
  const without = (...args: readonly string[]) => {
    const script = `import runpy, sys; sys.modules['pycocotools'] = None; sys.path.insert(0, 'downstream'); runpy.run_path('${DETECT}', run_name='__main__')`;
    return job([wherePythonHas('torch', 'torchvision').executable, '-c', script, ...args]);
  };
  expect(await without('--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('--weights'), stderr: '' });
  const { code, stderr } = await without('--weights', 'random', '--data', at('nowhere'));
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/^detect.py: there is no pycocotools.*; pip install pycocotools\n$/),
  });
});

function expectResults(results: Results): void {
  expect(results).toEqual({
    AP: expect.any(Number),
    AP50: expect.any(Number),
    AP75: expect.any(Number),
    detections: expect.any(Number),
    backboneKeys: KEYS,
  });
  for (const name of ['AP', 'AP50', 'AP75'] as const) {
    expect(results[name]).toBeGreaterThanOrEqual(0);
    expect(results[name]).toBeLessThanOrEqual(100);
  }
}

python.describe(`detect.py${python.note}`, () => {
  test(
    'trains on synthetic shards from exported weights, whose keys all load, and says the AP',
    async () => {
      const run = (workers: string): Promise<Results> =>
        python.run<Results>(DETECT, '--weights', at('r18.pth'), '--data', at('toy'), '--size', '64', ...SMALL, '--workers', workers);
      const results = await run('0');
      expectResults(results);
      expect(await run('2')).toEqual(results); // nor do results depend on who reads the pictures
    },
    PATIENT_MS,
  );

  test(
    'goes on after a kill from its checkpoint to the same detector, and takes none of other options',
    async () => {
      const run = (name: string, onLine?: (line: string, send: Send) => void, ...more: readonly string[]): Promise<Outcome> => {
        const files = ['--checkpoint', at(`${name}/progress.pth`), '--out', at(`${name}/detector.pth`)];
        const args = ['--weights', at('r18.pth'), '--data', at('toy'), '--size', '64', ...SMALL, '--iterations', '6', ...files, ...more];
        return job([python.executable, DETECT, ...args], onLine && { onLine });
      };
      await Promise.all(['whole', 'cut'].map((name) => mkdir(at(name))));
      const whole = await run('whole');
      const kill = (line: string, send: Send): void => {
        if (line.startsWith('iteration 4/6')) send('SIGKILL', 'group');
      };
      expect(await run('cut', kill)).toMatchObject({ signal: 'SIGKILL' });
      await expect(readFile(at('cut/detector.pth'))).rejects.toThrow('ENOENT');

      expect(await run('cut', undefined, '--batch', '4')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/--checkpoint \S+progress\.pth is of --batch 2, not 4: name another file, or remove it\n$/),
      });
      const resumed = await run('cut');
      expect(resumed.stderr).toMatch(/goes on after iteration [34] of/);
      expect({ code: resumed.code, stdout: resumed.stdout }).toEqual({ code: 0, stdout: whole.stdout });
      const detectors = await Promise.all(['whole', 'cut'].map((name) => readFile(at(`${name}/detector.pth`))));
      expect(detectors[1]?.equals(detectors[0] ?? Buffer.alloc(0))).toBe(true);
    },
    PATIENT_MS,
  );

  test(
    'takes no other file for its checkpoint',
    async () => {
      const options = [...SMALL, '--size', '64', '--checkpoint', at('r18.pth')];
      await expect(python.run(DETECT, '--weights', at('r18.pth'), '--data', at('toy'), ...options)).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/--checkpoint \S+r18\.pth: expected what detect\.py wrote there; name another file\n$/),
      });
    },
    PATIENT_MS,
  );

  test(
    'trains C4, whose head is res5, on VOC folders',
    async () => {
      const c4 = ['--arch', 'c4', '--size', '64'];
      expectResults(await python.run<Results>(DETECT, '--weights', at('r18.pth'), '--data', at('VOCdevkit'), ...c4, ...SMALL));
    },
    PATIENT_MS,
  );

  test(
    'refuses weights with a prefix, and says which',
    async () => {
      await expect(python.run(DETECT, '--weights', at('moco.pth.tar'), '--data', at('toy'), ...SMALL)).rejects.toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/0 of the 120 keys of resnet18 match.*\n.*prefix.*'module\.encoder_q\.'/),
      });
    },
    PATIENT_MS,
  );

  test(
    "refuses a folder and Detectron2's file, with the command that writes what is expected",
    async () => {
      const pickled = at('r18.pkl');
      await succeed(detco(['export', '--checkpoint', RUN, '--format', 'detectron2', '--out', pickled]));
      for (const [weights, what] of [
        [RUN, 'is a folder: expected a .pth; of a run, '],
        [pickled, "this is Detectron2's format: expected a .pth; "],
      ] as const) {
        const command = `npx detco export --checkpoint ${weights} --format torchvision --out backbone.pth writes it`;
        await expect(python.run(DETECT, '--weights', weights, '--data', at('toy'), ...SMALL)).rejects.toMatchObject({
          code: 1,
          stderr: expect.stringContaining(`detect.py: ${weights}: ${what}${command}\n`),
        });
      }
    },
    PATIENT_MS,
  );

  test(
    'refuses weights of another ResNet, with keys and shapes',
    async () => {
      const options = [...SMALL, '--backbone', 'resnet34'];
      await expect(python.run(DETECT, '--weights', at('r18.pth'), '--data', at('toy'), ...options)).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/120 of the 216 keys of resnet34 match.*\n.*missing: layer1\.2\.conv1\.weight/),
      });
    },
    PATIENT_MS,
  );

  test(
    'refuses a folder that holds nothing to detect',
    async () => {
      await expect(python.run(DETECT, '--weights', 'random', '--data', RUN, ...SMALL)).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringContaining('expected a COCO folder'),
      });
    },
    PATIENT_MS,
  );
});

interface Oracle {
  readonly plain: { readonly box: readonly number[]; readonly white: readonly number[] };
  readonly mirrored: { readonly box: readonly number[]; readonly white: readonly number[] };
}

python.describe(`data of detect.py${python.note}`, () => {
  const perfect = { AP: expect.closeTo(100, 6), AP50: expect.closeTo(100, 6), AP75: expect.closeTo(100, 6) };
  const none = { AP: 0, AP50: 0, AP75: 0 };
  const oracle = (data: string): Promise<Oracle> => python.run<Oracle>('test/downstream/oracle.py', data);

  test(
    'in a COCO folder may count from 0, lack areas and skip category numbers',
    async () => {
      const set = await oracle(at('coco'));
      expect(set).toMatchObject({ kind: 'coco', categories: ['train', 'bottle'], trained: 9, tested: 3, perfect, none });
      const { left, top, right, bottom } = BOX;
      expect(set.plain).toEqual({ box: [left, top, right, bottom], white: [left, top, right, bottom] });
      expect(set.mirrored.box).toEqual(set.mirrored.white);
      expect(set.mirrored.box).not.toEqual(set.plain.box);
    },
    PATIENT_MS,
  );

  test(
    'in VOC folders is of all years, with boxes from pixel 0, and difficult objects count neither way',
    async () => {
      const set = await oracle(at('VOCdevkit'));
      expect(set).toMatchObject({ kind: 'voc', categories: ['cat', 'dog'], trained: 3, tested: 2, perfect, sure: perfect, none });
      expect(set.plain.box).toEqual(set.plain.white);
    },
    PATIENT_MS,
  );

  test(
    'in shards is what detco synth wrote',
    async () => {
      expect(await oracle(at('toy'))).toMatchObject({ kind: 'shards', trained: 8, tested: 4, perfect, none });
    },
    PATIENT_MS,
  );
});

const DOCUMENT = 'docs/downstream.md';
const ELSEWHERE =
  /^(apt-get|\/usr\/bin\/python3 -m venv|pip install|export|python3 projects\/|(DETECTRON2_DATASETS=\S+ )?python3 downstream\/detectron2\/)/;
/** What is appended to a command, or takes a number's place, so that it takes seconds. */
const TRAIN = ['--engine', 'wasm', '--batch', '8', '--queue-size', '16', '--steps', '1'];
const toySize = (command: string): string =>
  command.replace('--count 320', '--count 8').replace('--count 50', '--count 4').replaceAll('/data/', '');

/** The lines of a document's blocks of shell commands, those joined that end in a backslash. */
async function commandsOf(document: string): Promise<string[]> {
  const blocks = (await readFile(document, 'utf8')).matchAll(/^```(\w*)\n([^`]*)^```/gm);
  return [...blocks].flatMap(([, language, block = '']) => (language === 'sh' ? block.replaceAll('\\\n', '').trim().split('\n') : []));
}

python.describe(`${DOCUMENT}${python.note}`, () => {
  test(
    'has no command but those that run at toy size and those of Detectron2',
    async () => {
      const cwd = at('document');
      await mkdir(join(cwd, 'runs'), { recursive: true });
      await Promise.all([
        symlink(resolve(RUN), join(cwd, 'runs/r50')),
        symlink(at('VOCdevkit'), join(cwd, 'VOCdevkit')),
        symlink(at('coco'), join(cwd, 'coco')),
      ]);
      const commands = (await commandsOf(DOCUMENT)).filter((command) => !ELSEWHERE.test(command));
      expect(commands.length).toBeGreaterThan(8);
      for (const command of commands) {
        const [program, script = '', ...args] = toySize(command).replaceAll("'", '').split(' ');
        const words =
          program === 'npx'
            ? [process.execPath, resolve('bin/detco.cjs'), ...args, ...(args[0] === 'train' ? TRAIN : [])]
            : [python.executable, resolve(script), ...args, ...(script === DETECT ? ['--size', '32', ...SMALL, '--iterations', '1'] : [])];
        const { code, stderr } = await job(words, { cwd });
        expect({ command, code, stderr: code === 0 ? '' : stderr }).toEqual({ command, code: 0, stderr: '' });
      }
    },
    PATIENT_MS,
  );
});
