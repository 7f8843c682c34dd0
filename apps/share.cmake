# Writes below SHARE what MASQUE says of itself, where shells and man look for it:
#   cmake -DMASQUE=PROGRAM -DSHARE=DIR -P share.cmake
cmake_minimum_required(VERSION 3.25)

function(ask)
  execute_process(COMMAND ${MASQUE} ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(write_completion shell file)
  get_filename_component(folder ${SHARE}/${file} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  ask(completion ${shell} OUTPUT_FILE ${SHARE}/${file})
endfunction()

write_completion(bash bash-completion/completions/masque)
write_completion(zsh zsh/site-functions/_masque)
write_completion(fish fish/vendor_completions.d/masque.fish)
ask(man --all ${SHARE}/man/man1)
file(GLOB pages ${SHARE}/man/man1/*.1)
execute_process(COMMAND gzip -9nf ${pages} COMMAND_ERROR_IS_FATAL ANY)
