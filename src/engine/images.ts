/** ImageNet's channel means and standard deviations, of values in [0, 1], RGB: torchvision's constants. */
export const IMAGE_MEAN = [0.485, 0.456, 0.406] as const;
/** Standard deviation of ImageNet by channel (RGB), of values from 0 to 1. */
export const IMAGE_STD = [0.229, 0.224, 0.225] as const;
