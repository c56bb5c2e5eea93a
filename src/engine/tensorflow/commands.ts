/** The commands that make the engine tensorflow run. */

export const BUILD_COMMAND = 'npx detco engine build tensorflow';

/** The npm packages whose binding and kernels the engine uses, the preferred one first. */
export const NODE_PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;

/** Installs libtensorflow 2.9.1 with it; of `-gpu` one for CUDA 11.2 and cuDNN 8.1. */
export const STOCK_COMMAND = 'npm install @tensorflow/tfjs-node';

export const PIP_COMMAND = 'python3 -m pip install tensorflow-cpu';

/** From nothing to a built engine. */
export const CURRENT_COMMAND = `${PIP_COMMAND} && ${BUILD_COMMAND}`;

/** The same for NVIDIA GPUs. */
export const GPU_COMMAND = `python3 -m pip install 'tensorflow[and-cuda]' && ${BUILD_COMMAND}`;

/** From nothing to a built engine, for CPUs alone or GPUs too. */
export function currentCommand(gpu: boolean): string {
  return gpu ? GPU_COMMAND : CURRENT_COMMAND;
}

/** Both ways to have it where nothing of it is. */
export const INSTALL_REMEDY =
  `${STOCK_COMMAND} (with CUDA 11.2 and cuDNN 8: ${STOCK_COMMAND}-gpu) installs the stock package, TensorFlow 2.9.1; ` +
  `${CURRENT_COMMAND} builds it on a current TensorFlow (for NVIDIA GPUs: 'tensorflow[and-cuda]'; in a virtual environment where the system's Python refuses)`;
