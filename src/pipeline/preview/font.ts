/**
 * Small type that is part of the program: a picture has the same bytes on every machine, fonts or none.
 *
 * A glyph is 5 pixels wide. Each of its rows, from the top, is one digit to the base 32 whose highest bit is the left pixel; seven rows
 * stand on the line and two hang below it.
 */

/** Of the characters from `!` to `~`. */
const GLYPHS = `
4444404 aa00000 aavavaa 4fke5u4 op248j3 cik8lid 4400000 2488842 8422248 04lel40 044v440 000000448
000v000 00000cc 11248gg ehjlphe 4c4444e eh1248v v2421he 26aiv22 vgu11he 68guhhe v124888 ehhehhe
ehhf12c 0cc0cc0 0cc00cc48 248g842 00v0v00 8421248 eh12404 ehnlnge ehhvhhh uhhuhhu ehggghe sihhhis
vgguggv vgguggg ehgnhhf hhhvhhh e44444e 72222ic hikokih ggggggv hrllhhh hhpljhh ehhhhhe uhhuggg
ehhhlid uhhukih fgge11u v444444 hhhhhhe hhhhha4 hhhllla hha4ahh hhha444 v1248gv e88888e gg84211
e22222e 4ah0000 000000v 8420000 00e1fhf ggmphhu 00egghe 11djhhf 00ehvge 698s888 00fhhhf1e ggmphhh
40c444e 2062222ic ggikoki c44444e 00qllll 00mphhh 00ehhhe 00uhhhugg 00fhhhf11 00mpggg 00fge1u 88s8896
00hhhjd 00hhha4 00hhlla 00ha4ah 00hhhhf1e 00v248v 2448442 4444444 8442448 008l200
`
  .trim()
  .split(/\s+/);

const FIRST = '!'.charCodeAt(0);
/** An empty box, for what has no glyph. */
const MISSING = 'vhhhhhv';

/** Pixels from one character to the next, and from one line to the next. */
export const ADVANCE = 6;
export const LINE = 12;
const WIDTH = 5;

function rowsOf(character: string): string {
  return character === ' ' ? '' : (GLYPHS[(character.codePointAt(0) ?? 0) - FIRST] ?? MISSING);
}

/** Pixels that a line of text takes. */
export function textWidth(text: string): number {
  return Math.max(0, [...text].length * ADVANCE - 1);
}

/** Calls `set` for each pixel of a line of text, from its left and upper corner. */
export function drawText(text: string, set: (x: number, y: number) => void): void {
  for (const [place, character] of [...text].entries()) {
    for (const [y, digit] of [...rowsOf(character)].entries()) {
      const bits = Number.parseInt(digit, 32);
      for (let x = 0; x < WIDTH; x++) if ((bits >> (WIDTH - 1 - x)) & 1) set(place * ADVANCE + x, y);
    }
  }
}
