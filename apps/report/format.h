// How a report writes numbers and names, and how it escapes text.
#pragma once

#include <string>

#include "models/intervals.h"

namespace masque::report {

bool known(const Interval& interval);  // both ends are numbers
bool has_zero(const Interval& interval);

// "–" where a number is not known.
std::string fixed(double number, int digits);
std::string nats(double number);        // 1.4942
std::string difference(double number);  // +0.6556, −0.0123
std::string percent(double share, int digits = 1);
std::string count(double number);                               // 1,115,394
std::string compact(double number);                             // 950, 6.55M, 2.1e+15
std::string between(const Interval& interval, int digits = 4);  // 1.4453 to 1.5510
std::string between_differences(const Interval& interval);      // +0.6012 to +0.7001

std::string sign_of(const std::string& bound);             // exact "=", upper "≤", mean "~"
std::string model_name(const std::string& model);          // llada → LLaDA, ar → AR
std::string order_name(const std::string& order);          // l2r → left to right
std::string estimator_name(const std::string& estimator);  // nelbo → NELBO
std::string row_name(const std::string& model, const std::string& estimator,
                     const std::string& order);                   // LLaDA chain, left to right
std::string plural(std::size_t number, const std::string& what);  // 1 seed, 3 seeds

std::string html(const std::string& text);
std::string markdown(const std::string& text);        // for one line; newlines become spaces
std::string json_in_script(const std::string& json);  // so that no text of it ends the element

}  // namespace masque::report
