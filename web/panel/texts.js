// Adds the words of the pages for staff; imported before anything that says something.

import de from "../messages/staff/de.js";
import en from "../messages/staff/en.js";
import { addTexts } from "../shared/messages.js";

addTexts({ en, de });
