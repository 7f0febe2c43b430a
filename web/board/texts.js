// Adds the words of the board.

import de from "../messages/board/de.js";
import en from "../messages/board/en.js";
import { addTexts } from "../shared/messages.js";

addTexts({ en, de });
