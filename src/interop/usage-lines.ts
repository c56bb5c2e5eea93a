/** What to write on the other side, for people who have just exported a backbone. */
import { shellWord } from '../common/shell-word.js';
import type { ResNetOptions } from '../model/network/architecture.js';
import type { ExportFormat } from './export-backbone.js';

const DEFAULT_WIDTH = 64;
const IMAGES = '# images: RGB in [0, 1], normalised with mean (0.485, 0.456, 0.406) and std (0.229, 0.224, 0.225)';

type PythonFormat = Exclude<ExportFormat, 'detectron2' | 'onnx'>;

/**
 * Lines of code that load an exported file on the other side.
 *
 * @param path of the file that was written
 */
export function usageLines(format: ExportFormat, path: string, architecture: ResNetOptions): string[] {
  if (format === 'detectron2') return [...detectron2(path, architecture), ...stemRemark(architecture)];
  if (format === 'onnx') return onnx(path);
  const isStandard = architecture.width === DEFAULT_WIDTH && architecture.stem === 'imagenet';
  return isStandard
    ? python(format, path, architecture)
    : [`state = ${loadCall(format, path)}`, ...widthRemark(architecture), ...stemRemark(architecture)];
}

/** The expression that gives the state dict. */
function loadCall(format: PythonFormat, path: string): string {
  const file = JSON.stringify(path);
  if (path.endsWith('.safetensors')) return `safetensors.torch.load_file(${file})`;
  return `torch.load(${file}, weights_only=True)${format === 'moco' ? "['state_dict']" : ''}`;
}

function onnx(path: string): string[] {
  return [
    `session = onnxruntime.InferenceSession(${JSON.stringify(path)})`,
    "[features] = session.run(['features'], {'images': images})  # float32 [N, 3, H, W] to [N, C]",
    IMAGES,
  ];
}

function python(format: PythonFormat, path: string, { arch }: ResNetOptions): string[] {
  const file = JSON.stringify(path);
  if (format === 'timm')
    return [
      `model = timm.create_model('${arch}', num_classes=0, checkpoint_path=${file})  # features`,
      `model = timm.create_model('${arch}', num_classes=10, pretrained=True, pretrained_cfg_overlay=dict(file=${file}))  # a classifier to train`,
    ];
  if (format === 'moco') return [`python main_lincls.py -a ${arch} --pretrained ${shellWord(path)} ...`];
  return [
    `model = torchvision.models.${arch}()`,
    `missing, unexpected = model.load_state_dict(${loadCall(format, path)}, strict=False)`,
    "assert missing == ['fc.weight', 'fc.bias'] and not unexpected",
    IMAGES,
  ];
}

/** Detectron2's own defaults are of an older ResNet: BGR in [0, 255], and strides in the 1x1 convolutions. */
function detectron2(path: string, { arch, width }: ResNetOptions): string[] {
  const basic = arch === 'resnet18' || arch === 'resnet34';
  const out = basic ? width : 4 * width;
  const widths = [
    ...(out === 256 ? [] : [`    RES2_OUT_CHANNELS: ${out}`]),
    ...(width === DEFAULT_WIDTH ? [] : [`    STEM_OUT_CHANNELS: ${width}`, `    WIDTH_PER_GROUP: ${width}`]),
  ];
  return [
    'MODEL:',
    `  WEIGHTS: ${JSON.stringify(path)}`,
    '  PIXEL_MEAN: [123.675, 116.280, 103.530]',
    '  PIXEL_STD: [58.395, 57.120, 57.375]',
    '  RESNETS:',
    `    DEPTH: ${arch.replace('resnet', '')}`,
    '    STRIDE_IN_1X1: False',
    ...widths,
    'INPUT:',
    '  FORMAT: "RGB"',
  ];
}

function widthRemark({ width }: ResNetOptions): string[] {
  if (width === DEFAULT_WIDTH) return [];
  return [`# its width is ${width}: the builders of torchvision and timm make ResNets of width ${DEFAULT_WIDTH}, and cannot hold it`];
}

function stemRemark({ stem }: ResNetOptions): string[] {
  if (stem !== 'small') return [];
  return ['# its stem is a 3x3 convolution of stride 1 without max pooling: the model that loads it needs the same one'];
}
