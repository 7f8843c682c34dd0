// A terminal, as far as what is drawn there must know it.
#pragma once

#include <cstddef>
#include <string_view>

namespace masque {

struct TerminalSize {
  std::size_t columns = 80, rows = 24;
};

// Whether it is one whose cursor can be moved: TERM=dumb is not.
bool is_terminal(int fd);
TerminalSize terminal_size(int fd);
bool wants_colour();                           // NO_COLOR is not set
std::size_t width_of(char32_t character);      // columns: 0, 1 or 2
void write_to(int fd, std::string_view text);  // in one piece where the system takes it

}  // namespace masque
