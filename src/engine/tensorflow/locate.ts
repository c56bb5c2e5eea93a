/**
 * Where TensorFlow is: the Python that was named and no other, else the user's and then the system's. A Python that was named and has none
 * ends the search, for another one would be a surprise.
 */
import { findPythonPackage, NamedPlaceError, PYTHONS, type Place } from '../native/place.js';
import { shellWord } from '../../common/shell-word.js';
import { inWords, readTensorFlow, type LibTensorFlow } from './libtensorflow.js';

export interface TensorFlowPlace extends Place {
  /** Undefined when it has none. */
  readonly tensorflow?: LibTensorFlow;
}

export interface LocateOptions {
  /** As for `--python`. */
  readonly python?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  /** Called for each place as soon as it has been looked at. */
  readonly onPlace?: (place: TensorFlowPlace) => void;
}

/**
 * The first TensorFlow that can be used, or undefined.
 * @throws NamedPlaceError when `--python` names one without
 */
export async function locateTensorFlow(options: LocateOptions = {}): Promise<LibTensorFlow | undefined> {
  const { python, env = process.env, onPlace = () => {} } = options;
  for (const name of python === undefined ? PYTHONS : [python]) {
    const looked = await lookInPython(name, env);
    onPlace(looked);
    if (looked.tensorflow !== undefined) return looked.tensorflow;
    if (python !== undefined) {
      throw new NamedPlaceError(
        `--python ${JSON.stringify(python)}: ${looked.found}; expected a Python with TensorFlow: ${shellWord(python)} -m pip install --upgrade tensorflow-cpu, ` +
          'or tensorflow[and-cuda] for NVIDIA GPUs',
      );
    }
  }
  return undefined;
}

async function lookInPython(python: string, env: NodeJS.ProcessEnv): Promise<TensorFlowPlace> {
  const found = await findPythonPackage(python, 'tensorflow', env);
  if ('problem' in found) return { place: python, found: found.problem };
  const read = readTensorFlow(found.folder);
  return 'problem' in read
    ? { place: python, folder: found.folder, found: read.problem }
    : { place: python, folder: found.folder, tensorflow: read, found: inWords(read) };
}
