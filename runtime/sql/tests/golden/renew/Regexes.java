import java.io.*;
import java.util.*;
import java.util.regex.*;

/**
 * Writes what java.util.regex finds for many patterns in many texts: those below, and random ones from a
 * fixed seed. "P pattern", then "E" if Java refuses it, or for each text "T text" and "A matches": each match
 * and its groups as from-to in characters, "-" for a group that took no part. Other than plain ASCII is
 * written as {hexadecimal}.
 */
public class Regexes {
  static final String[] PATTERNS = {
    "^\\d+$", "^\\d+", "\\d+$", "\\w+", "\\W+", "\\s+", "\\S+", "\\D", "^$", "$", "^", "", "\\b", "\\B", "\\bfoo\\b", "\\b\\w+\\b",
    "a$", "a\\Z", "a\\z", "a$|b$", "(a$|b)", "(a|$)", "(,|$)", "(a)($)", "^(.*)$", "^.*$", ".*$", ".+$", "[^x]*$", "[^x]+?$", "\\s$", "\\s*$", "\\s+$",
    "\\n$", "\\r$", "(\\s)$", "$$", "a$b", "($)a", "(a$)*", "^a$\\n", "(?:a|b$)c", "x*$", "a.c", "a.*c", "(?s)a.c", "(?s:.)", "(?s).*$", "(?-s).", "(?i)abc", "(?i)straße", "(?i)k", "(?i)s", "(?i)[a-c]+",
    "(?i)[^a-c]+", "a(?i)b", "a(?i:b)c", "(a(?i)b)c", "(?i)a|b", "(?i)\\p{L}+", "(?i)\\p{Lower}", "(?i)\\x41", "(?i)\\Qab\\E", "(?i)É", "(?i)Σ",
    "(?m)^a$", "(?u)a", "(?x)a b", "(?d).", "(?U)\\w", "(?iu)ß", "\\Qa.c\\E", "\\Qa.c", "\\Qa\\E+", "a\\Q+\\E", "\\Q\\E", "\\E", "[\\Q^-]\\E]", "a{2}", "a{2,}", "a{1,2}", "a{0}", "a{0,1}b", "a{2,1}", "a{,2}", "a{b", "a{", "{a}", "a{2", "a}",
    "]", "[]a]", "[^]a]", "[a", "[]", "[^]", "(", ")", "(a", "a)", "*a", "+", "?", "a**", "a*+", "a++", "a?+", "a*?", "a+?", "a??", "a{1,2}?", "a{1,2}+", "a***", "a+*", "(?:a*)*", "(a*)*", "(a*)+", "(a|b*)*", "(a?)*", "(a|)*", "(|a)+", "(a*)?", "(a?){2}", "(a|b)*", "((a)|b)*", "(a(b)?)+", "(a)|(b)", "(?:(a)|(b)|c)+",
    "(?=a)", "a(?=b)", "a(?!b)", "(?<=a)b", "(?<!a)b", "(?>a)", "(a)\\1", "(?<n>a)\\k<n>", "(?<name>a+)", "(?<n>a)(?<n>b)", "(?<1>a)", "(?P<n>a)", "(?'n'a)",
    "[abc]", "[^abc]", "[a-c]", "[a-c0-9_]+", "[a-]", "[-a]", "[a-c-e]", "[\\d-z]", "[a-\\d]", "[z-a]", "[a^]", "[\\^a]", "[\\]]", "[\\w.]+", "[^\\w]", "[\\W]", "[^\\W]", "[\\s\\S]", "[.]", "[$]", "[|(]", "[a&&b]", "[a-z&&[^aeiou]]", "[a-z&&[def]]", "[a-d[m-p]]", "[^a-d[m-p]]", "[a-z&&a-c]", "[a&]", "[&&a]", "[a&&]", "[^a&&b]", "[^a-c&&[^b]]", "[a-c&&b&&c]", "[a-z&&[^b]c]", "[[a]]", "[[a][b]]", "[[^a]b]", "[\\p{L}&&[^a-z]]", "[\\x41-\\x43]", "[\\u0041]", "[\\t\\n]",
    "\\p{L}+", "\\pL", "\\PL", "\\P{L}", "\\p{Lu}", "\\p{IsLatin}+", "\\p{IsGreek}", "\\p{IsAlphabetic}+", "\\p{Alpha}+", "\\p{Digit}", "\\p{Alnum}", "\\p{Punct}", "\\p{Upper}", "\\p{Lower}+", "\\p{Space}", "\\p{Blank}", "\\p{Cntrl}", "\\p{Graph}", "\\p{Print}", "\\p{XDigit}", "\\p{ASCII}", "\\p{Nd}", "\\p{IsDigit}", "\\p{N}", "\\p{S}", "\\p{P}", "\\p{Z}", "\\p{Cc}", "\\p{IsWhite_Space}", "\\p{InGreek}", "\\p{javaLowerCase}", "\\p{nothing}", "\\p{}", "\\p{L", "\\p{IsL}", "[\\p{L}\\d]+", "[^\\p{L}]",
    "\\h", "\\H+", "\\v", "\\V+", "\\R", "\\R+", "a\\Rb", "\\R$", "\\X", "\\G", "\\N{SPACE}", "\\0", "\\07", "\\0101", "\\0377", "\\x41", "\\x{41}", "\\x{1F600}", "\\x4", "\\u0041", "\\uD83D\\uDE00", "\\cA", "\\e", "\\a", "\\f", "\\t", "\\q", "\\y", "\\i", "\\é", "\\-", "\\_", "\\ ", "\\/", "\\", "\\b{g}", "a|b", "a||b", "|a", "a|", "||", "(a|ab)(c|bcd)(d*)", "ab|abc", "(?:)", "()", "()*", "(?i)", "(?-i)", "(?)", "(?:a", "((a)(b(c)))", "(?i-s)a.", "(?q)",
    "^[A-Z]{2}\\d{6}$", "([^@]+)@([^.]+)\\.(.+)", "^(\\d{4})-(\\d{2})-(\\d{2})$", "https?://([^/]+)(/.*)?$", "\\s*,\\s*", "(\\w+)=(\\w*)", "^\\s+|\\s+$", "[^0-9]", "(\\d+)(?:\\.(\\d+))?", "\"([^\"]*)\"", "^.{3}", ".{2}$", "(.)(.)", "😀", "[😀é]", ".", "é+", "ß", "[à-ü]", "Σ|σ", "^*", "$?", "\\b*", "^a|b$", "(^a|b$)", "(?:^|,)b", "(^|,)([^,]*)", "[^,]*", "a*", "a*b*", "x?", "\\d*", "(\\d*)", "a+|b*"
  };

  static final String[] TEXTS = {
    "", "a", "b", "c", "ab", "abc", "abcd", "aab", "ba", "aXc", "ABC", "aBC", "a.c", "a+", "aa", "aaa", "aaab", "xax", "foo bar", "foo-bar_1", "a b", "a,b,,c", ",", "123", "12.5", "12a", "٣", "1٣2", "a\n", "a\r\n", "a\r", "a\u0085", "a\u2028", "a\u2029", "a\n\n", "a\nb", "a\r\nb", "a\rb\n", "\n", "\r\n", "\r\n\r\n", " \r\n", "b\n", "c\n", "a\u000b", "a\tb", " a ", "\u00a0a", "straße", "STRASSE", "é", "É", "ÉLAN élan", "Σσς", "k", "K", "\u212a", "s", "\u017f", "ı", "😀", "a😀b", "ca", "{a}", "a{b", "]", "^-]", "foo.bar@ex.com", "2026-03-31", "http://ex.com/a/b", "k=v", "\"q\"", "AB123456", "AB123456\n", "e\u0301", "中文", "a_b", "\\", "bcd", "A", "\u0001", "&"
  };

  static final String[] ATOMS = {
    "a", "b", "c", "A", "0", "é", "ß", "😀", ",", "-", " ", "_", ".", "\\.", "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\h", "\\v", "\\R", "\\n", "\\r", "[ab]", "[^a]", "[a-c]", "[^\\n]", "[\\w-]", "[^\\s,]", "\\p{L}", "\\p{Alpha}", "\\P{Lu}", "[a-z&&[^b]]", "\\Qa.\\E", "\\x61", "(?i:b)", "(?s:.)"
  };
  static final String[] LETTERS = {
    "a", "a", "b", "b", "c", "A", "B", "0", "1", "٣", "é", "ß", "Σ", "😀", ",", "-", "_", ".", " ", "\n", "\r\n", "\r", "\u0085", "\u2028", "\t"
  };

  static String random(Random r, int depth) {
    StringBuilder text = new StringBuilder();
    int count = 1 + r.nextInt(3);
    for (int i = 0; i < count; i++) {
      String atom;
      switch (depth > 0 ? r.nextInt(9) : 8) {
        case 0: atom = "(" + random(r, depth - 1) + ")"; break;
        case 1: atom = "(?:" + random(r, depth - 1) + ")"; break;
        case 2: atom = "(" + random(r, depth - 1) + "|" + random(r, depth - 1) + ")"; break;
        case 3: if (depth == 2) { text.append(i == 0 ? "^" : "\\b"); } // falls through
        default: atom = ATOMS[r.nextInt(ATOMS.length)];
      }
      text.append(atom);
      switch (r.nextInt(10)) {
        case 0: text.append("*"); break;
        case 1: text.append("+"); break;
        case 2: text.append("?"); break;
        case 3: text.append(r.nextBoolean() ? "*?" : "+?"); break;
        case 4: text.append("{1,2}"); break;
        default:
      }
    }
    return text.toString();
  }

  static String written(String text) {
    StringBuilder out = new StringBuilder();
    text.codePoints().forEach(c -> {
      if (c < 32 || c > 126 || c == '{' || c == '}' || c == ' ') out.append(String.format("{%X}", c));
      else out.appendCodePoint(c);
    });
    return out.toString();
  }

  static boolean within(String text, int at) {
    return at > 0 && at < text.length() && Character.isLowSurrogate(text.charAt(at)) && Character.isHighSurrogate(text.charAt(at - 1));
  }

  static String matches(Pattern pattern, String text) {
    StringJoiner all = new StringJoiner(";");
    Matcher m = pattern.matcher(text);
    while (m.find()) {
      // Java also finds nothing in the midst of a character that has two units of UTF-16.
      if (within(text, m.start())) continue;
      StringJoiner one = new StringJoiner(",");
      for (int g = 0; g <= m.groupCount(); g++) {
        one.add(m.start(g) < 0 ? "-" : text.codePointCount(0, m.start(g)) + "-" + text.codePointCount(0, m.end(g)));
      }
      all.add(one.toString());
    }
    return all.toString();
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(new FileOutputStream(args[0]), true, "UTF-8");
    Random r = new Random(12);
    List<String> patterns = new ArrayList<>(List.of(PATTERNS));
    for (int i = 0; i < 700; i++) {
      String pattern = random(r, 2);
      patterns.add(r.nextInt(3) == 0 ? pattern + "$" : r.nextInt(8) == 0 ? "(?i)" + pattern : pattern);
    }
    for (int i = 0; i < patterns.size(); i++) {
      String source = patterns.get(i);
      out.println("P " + written(source));
      Pattern pattern;
      try {
        pattern = Pattern.compile(source);
      } catch (PatternSyntaxException refused) {
        out.println("E");
        continue;
      }
      List<String> texts = new ArrayList<>();
      if (i < PATTERNS.length) {
        // Those in which something is found, and some others.
        for (String text : TEXTS) if (r.nextInt(6) == 0 || (r.nextInt(3) == 0 && pattern.matcher(text).find())) texts.add(text);
      } else {
        for (int n = 0; n < 6; n++) {
          StringBuilder text = new StringBuilder();
          int length = r.nextInt(8);
          for (int k = 0; k < length; k++) text.append(LETTERS[r.nextInt(LETTERS.length)]);
          texts.add(text.toString());
        }
      }
      for (String text : texts) {
        out.println("T " + written(text));
        out.println("A " + matches(pattern, text));
      }
    }
  }
}
