#include <map>
#include <utility>

#include "core/check.h"
#include "models/source.h"

namespace masque {
namespace {

// States where a word, or the rest of a phrase, is chosen. A grammar's other states are inside
// words.
enum Slot : std::int32_t {
  kSpeaker,
  kColon,
  kSentence,
  kSubject,
  kSubjectNoun,
  kVerb,
  kDeterminer,
  kObject,
  kObjectNoun,
  kAdverb,
  kJoin,
  kStop,
  kBlankLine,
  kSlots
};

struct Choice {
  std::string text;
  std::int32_t next;
  double weight;
};

// What follows a word.
struct Ending {
  char character;
  Slot next;
  double weight;
};

using Words = std::vector<std::string>;

const Words kNames = {"ANNA", "TOM", "EMMA", "OTTO"};
const Words kFirstDeterminers = {"The", "My", "No"};
const Words kDeterminers = {"the", "my", "no"};
const Words kAdjectives = {"good", "sad", "true", "bold"};
const Words kNouns = {"king", "man", "lord", "rose", "moon"};
const Words kActions = {"sees", "has", "loves"};
const Words kStates = {"waits", "dies", "runs"};
const Words kAdverbs = {"now", "here", "soon", "today"};

// How a sentence goes on after a word that may end it.
const std::vector<Ending> kEnd = {
    {'.', kStop, 0.6}, {'!', kStop, 0.15}, {'?', kStop, 0.1}, {' ', kJoin, 0.15}};

// Words by falling frequency (Zipf–Mandelbrot, 1/(rank + 2)), each with each of its endings.
std::vector<Choice> choices(const Words& words, double weight, const std::vector<Ending>& endings) {
  double words_total = 0, endings_total = 0;
  for (std::size_t rank = 1; rank <= words.size(); ++rank) {
    words_total += 1.0 / (static_cast<double>(rank) + 2);
  }
  for (const Ending& ending : endings) endings_total += ending.weight;
  std::vector<Choice> all;
  for (std::size_t rank = 1; rank <= words.size(); ++rank) {
    const double share = 1.0 / (static_cast<double>(rank) + 2) / words_total;
    for (const Ending& ending : endings) {
      all.push_back({words[rank - 1] + ending.character, ending.next,
                     weight * share * ending.weight / endings_total});
    }
  }
  return all;
}

std::vector<Choice> operator+(std::vector<Choice> a, const std::vector<Choice>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

using Edges = std::vector<std::vector<Source::Edge>>;

// Makes `state` the root of the trie of `all`: a character's probability is the mass below it.
void grow(Edges& edges, std::int32_t state, const std::vector<Choice>& all) {
  double total = 0;
  std::map<char, std::vector<Choice>> below;
  for (const Choice& choice : all) {
    total += choice.weight;
    below[choice.text.front()].push_back({choice.text.substr(1), choice.next, choice.weight});
  }
  for (const auto& branch : below) {
    double mass = 0;
    for (const Choice& choice : branch.second) mass += choice.weight;
    const bool leaf = branch.second.front().text.empty();
    CHECK(!leaf || branch.second.size() == 1, "grammar: one choice is the start of another");
    std::int32_t next = branch.second.front().next;
    if (!leaf) {
      next = static_cast<std::int32_t>(edges.size());
      edges.emplace_back();
      grow(edges, next, branch.second);
    }
    edges[static_cast<std::size_t>(state)].push_back({branch.first, next, mass / total});
  }
}

}  // namespace

std::vector<std::vector<Source::Edge>> dialogue_grammar() {
  Edges edges(kSlots);
  grow(edges, kSpeaker, choices(kNames, 1, {{':', kColon, 1}}));
  grow(edges, kColon, {{"\n", kSentence, 1}});
  grow(edges, kSentence, choices(kFirstDeterminers, 1, {{' ', kSubject, 1}}));
  grow(edges, kSubject,
       choices(kAdjectives, 0.4, {{' ', kSubjectNoun, 1}}) +
           choices(kNouns, 0.6, {{' ', kVerb, 1}}));
  grow(edges, kSubjectNoun, choices(kNouns, 1, {{' ', kVerb, 1}}));
  grow(edges, kVerb,
       choices(kActions, 0.55, {{' ', kDeterminer, 1}}) +
           choices(kStates, 0.45, {{' ', kAdverb, 0.5}, {'.', kStop, 0.5}}));
  grow(edges, kDeterminer, choices(kDeterminers, 1, {{' ', kObject, 1}}));
  grow(edges, kObject,
       choices(kAdjectives, 0.4, {{' ', kObjectNoun, 1}}) + choices(kNouns, 0.6, kEnd));
  grow(edges, kObjectNoun, choices(kNouns, 1, kEnd));
  grow(edges, kAdverb, choices(kAdverbs, 1, kEnd));
  grow(edges, kJoin, {{"and ", kVerb, 1}});
  grow(edges, kStop, {{" ", kSentence, 0.6}, {"\n", kBlankLine, 0.4}});
  grow(edges, kBlankLine, {{"\n", kSpeaker, 1}});
  return edges;
}

}  // namespace masque
