import { testEngine } from './contract.js';

testEngine('torch');
