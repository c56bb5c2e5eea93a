/** What the paper says of the arms, and whether it was seen here. DetCo, section 4.5 (ablations) and Tables 1 to 6. */

/** `sign`: on which side of MoCo v2 the paper has the arm. */
const CLAIMS = [
  { arm: 'detco', number: 'linear.res5', sign: 1, text: 'DetCo classifies better than MoCo v2 (linear, res5)' },
  { arm: 'detco', number: 'cells.res4', sign: 1, text: 'DetCo localises better (cells of res4)' },
  { arm: 'detco', number: 'ap50', sign: 1, text: 'DetCo detects better (AP50)' },
  { arm: 'multi-level', number: 'linear.res5', sign: -1, text: 'multi-level alone classifies worse (linear, res5)' },
  { arm: 'multi-level', number: 'linear.res3', sign: 1, text: 'multi-level alone has better shallow features (linear, res3)' },
  { arm: 'multi-level', number: 'ap50', sign: 1, text: 'multi-level alone detects better (AP50)' },
  { arm: 'global-local', number: 'linear.res5', sign: 1, text: 'global-local alone classifies better (linear, res5)' },
  { arm: 'global-local', number: 'ap50', sign: 1, text: 'global-local alone detects better (AP50)' },
];
/** The first ones are what the paper is about. */
const MAIN = CLAIMS.filter(({ arm }) => arm === 'detco').length;

export const YES = 'yes';
export const OPPOSITE = 'the opposite';
export const UNDECIDED = 'not decided';

/** The claims on arms that were trained, each with the difference that was found. */
export function claimed(summary) {
  return CLAIMS.flatMap(({ arm, number, sign, text }, at) => {
    const difference = summary[arm]?.[number].toBaseline;
    return difference ? [{ text, number, main: at < MAIN, verdict: verdictOf(difference, sign), difference }] : [];
  });
}

function verdictOf({ interval: [low, high] = [-Infinity, Infinity] }, sign) {
  if (low > 0) return sign > 0 ? YES : OPPOSITE;
  if (high < 0) return sign > 0 ? OPPOSITE : YES;
  return UNDECIDED;
}

/** Plainly, line by line. */
export function inWords(claims) {
  if (claims.length === 0) return ['The paper has no ordering of these arms.'];
  const main = claims.filter((claim) => claim.main);
  const rest = claims.filter((claim) => !claim.main);
  return [
    ...(main.length > 0 ? [`The paper's ordering, DetCo above MoCo v2 in classification and in localisation, ${outcome(main)}.`] : []),
    ...(rest.length > 0 ? [`Of its parts by themselves: ${counted(rest)}.`] : []),
  ];
}

/** Of the claims that the paper is about. */
export function outcome(claims) {
  const verdicts = claims.map(({ verdict }) => verdict);
  if (verdicts.every((verdict) => verdict === YES)) return 'was reproduced';
  if (verdicts.includes(OPPOSITE)) return `was not reproduced (${counted(claims)})`;
  return `was not shown (${counted(claims)})`;
}

function counted(claims) {
  const of = (verdict) => claims.filter((claim) => claim.verdict === verdict).length;
  return `of ${claims.length} statements ${of(YES)} seen, ${of(OPPOSITE)} the other way round, ${of(UNDECIDED)} not decided`;
}
