# escape=`
FROM scratch
SHELL ["cmd", "/S", "/C"]
WORKDIR C:\app
COPY ["a b", "C:\\dir\\"]
RUN dir `
  # c
  C:\ `

  && echo %PATH%
